"""Choosing an executor by text: `local`, `ray?cpus=2`, `command:srun {trial}`."""

from __future__ import annotations

import queue
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from hwnas import _plugins
from hwnas._invalid import first_problem
from hwnas._process import Message
from hwnas.errors import UsageError
from hwnas.jobs._executors.base import Executor, ExecutorOptions, Training

if TYPE_CHECKING:
    from hwnas.jobs._folder.job import Job
    from hwnas.jobs._folder.spec import JobSpec

LOCAL = "local"
"""The executor of a search that names none: processes of this machine."""


@dataclass(frozen=True)
class ConfiguredExecutor:
    """A member of the family with its options: an `ExecutorFactory`."""

    kind: type[Executor]
    options: ExecutorOptions

    def check(self, spec: JobSpec) -> None:
        """See `Executor.check`."""
        self.kind.check(self.options, spec)

    def __call__(
        self,
        job: Job,
        training: Training,
        size: int,
        timeout: float | None,
        events: queue.Queue[Message],
    ) -> Executor:
        """The executor of a job."""
        return self.kind(self.options, job, training, size, timeout, events)


def make_executor(text: str) -> ConfiguredExecutor:
    """An executor by its name, with its options: `NAME`, `NAME?option=value&...`, `NAME:TEXT`.

    Raises:
        UsageError: no executor has that name, it has no such option, or a value makes no sense.
    """
    name, rest = re.match(r"([^?:]*)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    kind: type[Executor] = _plugins.load("executors", name.strip())
    given: dict[str, Any] = {}
    if kind.text_option is not None:
        rest, colon, content = rest.partition(":")
        if colon:
            given[kind.text_option] = content.strip()
    if rest[:1] == ":":
        raise UsageError(
            f"executor '{text}': nothing may follow a colon; write {name}?option=value"
        )
    known = [field for field in kind.Options.model_fields if field != kind.text_option]
    for pair in filter(None, rest[1:].split("&")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if key not in known or not equals:
            options = f"its options: {', '.join(known)}" if known else "it has none"
            raise UsageError(f"executor '{text}' has no option '{pair}' (option=value); {options}")
        if key in given:
            raise UsageError(f"executor '{text}': option '{key}' is given twice")
        given[key] = value
    try:
        return ConfiguredExecutor(kind, kind.Options.model_validate(given))
    except ValidationError as error:
        raise UsageError(f"executor '{text}': {first_problem(error)}") from error
