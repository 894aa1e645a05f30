"""Being there: a worker's entries in a queue, and finding out that another has its name."""

from __future__ import annotations

import time

from pydantic import BaseModel, ConfigDict, ValidationError

from hwnas.errors import StoreError, UsageError
from hwnas.jobs._store.lease import Pulse
from hwnas.jobs._store.store import Store

BEAT = 10.0
"""Seconds between two signs of life, at most."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    worker: str
    part: tuple[int, int] | None


class Presence:
    """`workers/<name>`, and `parts/<i>` of one that serves a part, beating from `begin` to `stop`.

    Raises:
        UsageError: a worker of this name lives, or one that serves the same part, or one that
            divides trials otherwise.
    """

    def __init__(
        self, queue: Store, device: str, name: str, part: tuple[int, int] | None, lease: float
    ) -> None:
        self._queue, self._device, self._name, self._part = queue, device, name, part
        self._interval = min(lease / 3, BEAT)
        self._pulses: list[Pulse] = []
        self._check(lease)

    def begin(self) -> None:
        """Be there."""
        about = _Entry(worker=self._name, part=self._part).model_dump_json().encode()
        names = [f"workers/{self._name}"] + ([f"parts/{self._part[0]}"] if self._part else [])
        self._pulses = [Pulse(self._queue, one, self._interval, about) for one in names]

    def check(self) -> None:
        """Raise UsageError if another worker has come under this name, or with this part."""
        if any(pulse.contested for pulse in self._pulses):
            raise UsageError(self._twice("has come"))

    def stop(self) -> None:
        """Be gone."""
        for pulse in self._pulses:
            pulse.stop(remove=not pulse.contested)

    def _check(self, lease: float) -> None:
        entries = [f"workers/{self._name}"]
        entries += self._queue.names("parts") if self._part else []
        before = {name: self._queue.get(name) for name in entries}
        found = [name for name, content in before.items() if content is not None]
        if not found:
            return
        # Left behind by those that were killed, or do they live?
        end = time.monotonic() + min(lease / 2, 1.5 * BEAT)
        while time.monotonic() < end:
            for name in found:
                content = self._queue.get(name)
                if content is not None and content != before[name]:
                    self._refuse(name, content)
            time.sleep(0.1)

    def _refuse(self, name: str, content: bytes) -> None:
        if name.startswith("workers/"):
            raise UsageError(self._twice("lives"))
        try:
            told = _Entry.model_validate_json(content.partition(b"\n")[2])
        except ValidationError as error:
            raise StoreError(f"{self._queue.url}/{name} is damaged; remove it") from error
        if told.part is None or self._part is None:
            return
        worker, (number, of) = told.worker, told.part
        if of != self._part[1]:
            raise UsageError(
                f"worker '{worker}' divides the trials of '{self._device}' by {of}, this one by "
                f"{self._part[1]}; give all workers the same --num-workers"
            )
        if number == self._part[0]:
            raise UsageError(
                f"worker '{worker}' serves part {number} of {of} of '{self._device}' already; "
                "give each worker its own --worker-id"
            )

    def _twice(self, how: str) -> str:
        return (
            f"a worker '{self._name}' serves '{self._device}' already: another {how} under this "
            "name; give each its own --name"
        )
