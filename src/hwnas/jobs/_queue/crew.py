"""The workers of a queue: whether any of them lives."""

from __future__ import annotations

import time

from hwnas.errors import DeviceError
from hwnas.jobs._queue.queue import MeasurementQueue
from hwnas.jobs._store.lease import Watch

_EVERY = 1.0  # seconds between looks
_AWAY = 10.0  # seconds between two of them after which what was seen before says nothing


class Crew:
    """The workers that serve a device, as somebody sees them who waits for an answer.

    Args:
        patience: seconds without a sign of life after which a worker counts as dead.
        expected: whether a first worker may yet come, for as long.
    """

    def __init__(self, queue: MeasurementQueue, patience: float, *, expected: bool = False) -> None:
        self._queue, self._patience, self._expected = queue, patience, expected
        self._watch = Watch()
        self._began, self._looked = time.monotonic(), float("-inf")

    def check(self) -> None:
        """Look now and then whether a worker lives.

        Raises:
            DeviceError: none does.
        """
        now = time.monotonic()
        if now - self._looked < min(_EVERY, self._patience / 4):
            return
        store, device = self._queue.store, self._queue.device
        found = {name: store.get(name) for name in store.names("workers")}
        before, self._looked = self._looked, time.monotonic()
        if self._looked - before > _AWAY:  # the store was away, for the workers as well
            self._watch = Watch()
        silent = [self._watch.silence(name, content) for name, content in found.items()]
        if not silent and self._expected and now - self._began < self._patience:
            return
        if not silent or min(silent) >= self._patience:
            who = (
                "no worker serves it" if not silent else f"none of its {len(silent)} workers lives"
            )
            raise DeviceError(
                f"device '{device}': {who}; start one where the device is: "
                f"hwnas worker --job URL --device {device}"
            )
