"""What is left to measure in a queue, as one worker sees it."""

from __future__ import annotations

from collections import deque

from hwnas.errors import StoreError
from hwnas.jobs._queue.queue import MeasurementQueue
from hwnas.jobs._store.lease import Claims, Lease


class Backlog:
    """Finds work and claims it, in the order of the requests' names.

    A request that was answered by its last claim stays answered, so each is looked at until then
    and no longer: a poll of a queue without new requests is one listing.

    Args:
        part: (i, n): only requests of trials with `trial % n == i`.
    """

    def __init__(
        self, queue: MeasurementQueue, claims: Claims, part: tuple[int, int] | None
    ) -> None:
        self._queue, self._claims, self._part = queue, claims, part
        self._settled: set[str] | None = None  # answered, or for other parts
        self._listed: deque[str] = deque()

    def take(self) -> Lease | None:
        """A piece of work, claimed; None if there is none now."""
        for listed_anew in (False, True):
            if listed_anew:
                self._listed.extend(self._unsettled())
            while self._listed:
                lease = self._try(self._listed.popleft())
                if lease is not None:
                    return lease
        return None

    def _unsettled(self) -> list[str]:
        if self._settled is None:  # the first time many may be answered
            found = self._queue.open_requests()
            self._settled = set(self._queue.requests()) - set(found)
            return found
        return [work for work in self._queue.requests() if work not in self._settled]

    def _try(self, work: str) -> Lease | None:
        last = self._claims.generation(work)
        if (last and self._queue.answered(work, last)) or not self._is_mine(work):
            assert self._settled is not None
            self._settled.add(work)
            return None
        return self._claims.take(work, last)

    def _is_mine(self, work: str) -> bool:
        if self._part is None:
            return True
        number, of = self._part
        try:
            return self._queue.request(work).trial % of == number
        except StoreError:  # a request that nobody can read is answered, by one of us
            return number == 0
