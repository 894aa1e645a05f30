"""Claims: who does a piece of work, for as long as it shows life.

Leases rest on two things that every store has: conditional create and plain overwrite. Generation n
of the claim on a piece of work is the object `claims/<work>/<n>`; its holder overwrites
`beats/<work>/<n>`; a successor creates generation n + 1. Only what the highest generation does
counts: generations are fencing numbers (Gray and Cheriton, Leases, SOSP 1989; with the fencing of
Kleppmann, Designing Data-Intensive Applications, chapter 8).
"""

from __future__ import annotations

import threading
import time
import uuid
from types import TracebackType

from hwnas.errors import StoreError
from hwnas.jobs._store.store import Store

_RELEASED = b"released"


class Pulse:
    """An object that is overwritten with something new as long as this process lives and runs.

    `contested` tells that another process overwrites it, too; this one then leaves it alone.
    """

    def __init__(self, store: Store, name: str, interval: float, content: bytes = b"") -> None:
        self._store, self._name, self._interval = store, name, interval
        self._content, self._count = content, 0
        self._nonce = uuid.uuid4().hex.encode()
        self.contested = False
        self._ended = threading.Event()
        self._beat()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self, *, remove: bool = False) -> None:
        """Beat no more; with `remove` the object goes, too."""
        self._ended.set()
        self._thread.join()
        if remove:
            self._store.delete(self._name)

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                found = self._store.get(self._name)
                if found is not None and not found.startswith(self._nonce):
                    self.contested = True
                    return
                self._beat()
            except StoreError:  # the next one may get through; if none does, the lease is lost
                continue

    def _beat(self) -> None:
        self._count += 1
        data = b"%s %d\n%s" % (self._nonce, self._count, self._content)
        self._store.put(self._name, data)


class Watch:
    """When objects were last seen to change, by this process's own monotonic clock.

    Clocks of two machines are never compared.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[bytes | None, float]] = {}

    def silence(self, name: str, content: bytes | None) -> float:
        """Seconds since the object had another content, as far as this watch has seen."""
        now = time.monotonic()
        known = self._seen.get(name)
        if known is None or known[0] != content:
            self._seen[name] = (content, now)
            return 0.0
        return now - known[1]


def last_generation(store: Store, work: str) -> int:
    """The highest generation of the claims on a piece of work; 0 if nobody claimed it."""
    names = store.names(f"claims/{work}")
    return max((int(name.rpartition("/")[2]) for name in names), default=0)


class Lease:
    """Generation `generation` of the claim on a piece of work, kept alive until `stop`."""

    def __init__(self, claims: Claims, work: str, generation: int) -> None:
        self.work, self.generation = work, generation
        self._claims = claims
        self._pulse = Pulse(claims.store, f"beats/{work}/{generation}", claims.seconds / 3)

    def held(self) -> bool:
        """Whether nobody has taken over. What is done after a False does not count."""
        return self._claims.generation(self.work) == self.generation

    def stop(self) -> None:
        """Show life no more: the work is done, or another may take it."""
        self._pulse.stop()

    def release(self) -> None:
        """Let another take over at once."""
        self._pulse.stop()
        self._claims.store.put(f"beats/{self.work}/{self.generation}", _RELEASED)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class Claims:
    """The claims in a store, seen by one process.

    Args:
        seconds: without a sign of life after which a claim may be taken over.
    """

    def __init__(self, store: Store, worker: str, *, seconds: float = 30.0) -> None:
        self.store, self.worker, self.seconds = store, worker, seconds
        self._watch = Watch()

    def generation(self, work: str) -> int:
        """The highest generation that was claimed; 0 if none."""
        return last_generation(self.store, work)

    def take(self, work: str, last: int | None = None) -> Lease | None:
        """The work, if nobody has it or who had it shows no life; None if another has it.

        `last` is the highest generation, where that is known.
        """
        last = self.generation(work) if last is None else last
        if last and not self._silent(work, last):
            return None
        if not self.store.create(f"claims/{work}/{last + 1}", self.worker.encode()):
            return None
        return Lease(self, work, last + 1)

    def beat(self, work: str) -> bytes | None:
        """The last sign of life of who has the work; None if nobody has it, or gave it back."""
        last = self.generation(work)
        found = self.store.get(f"beats/{work}/{last}") if last else None
        return None if found == _RELEASED else found

    def holder(self, work: str) -> str:
        """Who claimed the work last."""
        found = self.store.get(f"claims/{work}/{self.generation(work)}")
        return "nobody" if found is None else found.decode(errors="replace")

    def _silent(self, work: str, generation: int) -> bool:
        name = f"beats/{work}/{generation}"
        found = self.store.get(name)
        return found == _RELEASED or self._watch.silence(name, found) >= self.seconds
