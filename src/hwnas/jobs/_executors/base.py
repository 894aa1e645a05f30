"""The contract of executors."""

from __future__ import annotations

import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from hwnas._process import Message
from hwnas.jobs._folder.trial_folder import TrialFolder

if TYPE_CHECKING:
    from hwnas.jobs._folder.job import Job
    from hwnas.jobs._folder.spec import JobSpec

NOT_KEPT = "store"
"""The kind of a failure that is none of the trial's."""


@dataclass(frozen=True)
class Training:
    """What all trials of a job have in common: what a process that trains is given once.

    Attributes:
        payload: cloudpickle of (space, trainer, its options, task, input shape, counting), or of
            `References` to them. It goes from a process to one that it started, or through Ray to
            the machines of its cluster, and never into a store.
        seed: of the data's split and of each trial.
        metric: what counts as accuracy.
        exports: file name -> shape of the input, of the ONNX files to write.
        log: where the output goes that belongs to no trial.
    """

    payload: bytes
    seed: int
    metric: str
    exports: Mapping[str, Sequence[int]]
    log: Path


class ExecutorOptions(BaseModel):
    """What an executor can be told, as text: `NAME?option=value`. Members add fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass
class Executor(ABC):
    """Trains trials, at most `size` at a time. Found by the entry points `hwnas.executors`.

    A member says in `Options` what it can be told; `make_executor` reads them from text.

    All methods are called from one thread, the coordinator's; what an executor learns in threads of
    its own it puts into `events`. What happens comes from `next_event` as messages with `type` and
    `trial`:

    - `report`: `step`, `metrics`, `elapsed` seconds; zero or more.
    - `done`: the fields of `Result`; the trial's files are published (`TrialFolder.publish`).
    - `failed`: `kind` (`error`, `exit`, `killed`, `timeout`, `metrics`, `infeasible`, `stale`,
      `store`) and `reason`. `store` is no fault of the trial: what it made could not be kept,
      because the disk is full or the store out of reach. The job stops then, and trains it again
      when it goes on.

    Each `train` ends in exactly one `done` or `failed`, whatever happens to processes and machines.
    A trial that is over `timeout` is ended together with all that it started. The same arch, seed
    and trainer give the same network on every executor.

    Args:
        options: an instance of `Options`.
        job: the job whose trials they are.
        training: what is trained, and how.
        size: how many trials run at a time.
        timeout: seconds a trial may take, from when it begins; None for no limit.
        events: where the messages go; others put theirs there, too.
    """

    Options: ClassVar[type[ExecutorOptions]] = ExecutorOptions
    text_option: ClassVar[str | None] = None
    """The option that takes what stands after a colon: `NAME?option=value:TEXT`."""

    options: ExecutorOptions
    job: Job
    training: Training
    size: int
    timeout: float | None
    events: queue.Queue[Message]
    _running: set[int] = field(init=False, default_factory=set)
    _deadlines: dict[int, float] = field(init=False, default_factory=dict)

    @classmethod  # noqa: B027 - most serve every request
    def check(cls, options: ExecutorOptions, spec: JobSpec) -> None:
        """Refuse a request that this executor cannot serve, before anything is written.

        Raises:
            HwnasError: the message says why.
        """

    @property
    def free(self) -> int:
        """How many more trials can start now."""
        return self.size - len(self._running)

    def warm_up(self, count: int) -> None:  # noqa: B027 - many have nothing to prepare
        """Prepare for `count` trials."""

    def rest(self) -> None:  # noqa: B027 - many keep nothing
        """Let go of what is kept for trials to come, while none runs; later ones may start."""

    def train(self, number: int, arch: Mapping[str, Any], folder: TrialFolder) -> None:
        """Start a trial; `free` must be positive."""
        self._running.add(number)
        self._start(number, arch, folder)

    def next_event(self, timeout: float) -> Message | None:
        """The next thing that happened, or None after `timeout` seconds.

        Raises:
            JobError: the space, the trainer or the data cannot be loaded where trials run.
        """
        now = time.monotonic()
        for number in [one for one, end in self._deadlines.items() if end <= now]:
            del self._deadlines[number]
            self._kill(number, f"not finished after {self.timeout:g} s (--trial-timeout)")
        if self._deadlines:
            timeout = max(0.0, min(timeout, min(self._deadlines.values()) - now))
        try:
            message = self._digest(self.events.get(timeout=timeout))
        except queue.Empty:
            return None
        if message is not None and message["type"] in ("done", "failed"):
            self._running.discard(message["trial"])
            self._deadlines.pop(message["trial"], None)
        return message

    def _began(self, number: int) -> None:
        """To be called when a trial really runs: its time counts from now."""
        if self.timeout is not None:
            self._deadlines[number] = time.monotonic() + self.timeout

    def _digest(self, message: Message) -> Message | None:
        """An entry of `events` as one of the messages above; None if it is nothing to tell."""
        return message

    @abstractmethod
    def _start(self, number: int, arch: Mapping[str, Any], folder: TrialFolder) -> None:
        """Begin a trial: whoever trains it calls `folder.begin`, and `publish` or `leave`."""

    def _kill(self, number: int, reason: str) -> None:  # noqa: B027 - for those who call _began
        """End a trial that took too long, which a `failed` of kind `timeout` follows."""

    @abstractmethod
    def stop(self, number: int) -> None:
        """Ask a trial to end early, with the metrics it has; often repeated."""

    @abstractmethod
    def close(self) -> None:
        """End everything, whatever it is doing; nothing that was started is left."""


class ExecutorFactory(Protocol):
    """What makes the executor of a job: the result of `make_executor`, or a function of one's own.

    The arguments are those of `Executor`.
    """

    def __call__(
        self,
        job: Job,
        training: Training,
        size: int,
        timeout: float | None,
        events: queue.Queue[Message],
        /,
    ) -> Executor:
        """The executor; what it starts ends with its `close`."""
