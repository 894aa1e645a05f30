"""The life cycle of a job: created, running, stopping; done, failed or cancelled."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from hwnas.errors import HwnasError, JobError, StoreError
from hwnas.jobs._folder.hold import Check, JobLost

if TYPE_CHECKING:
    from hwnas.jobs._store.store import Store

JobState = Literal["created", "running", "stopping", "done", "failed", "cancelled"]

_NEXT: Mapping[JobState | None, frozenset[JobState]] = {
    None: frozenset({"created", "running"}),
    "created": frozenset({"running", "cancelled"}),
    # Running again: whoever ran it was killed, and another goes on.
    "running": frozenset({"running", "stopping", "done", "failed", "cancelled"}),
    "stopping": frozenset({"running", "done", "failed", "cancelled"}),
    # What has ended may be asked for more.
    "done": frozenset({"running"}),
    "failed": frozenset({"running"}),
    "cancelled": frozenset({"running"}),
}
_LOOK_EVERY = 1.0  # seconds
_ENDED = frozenset({"done", "failed", "cancelled"})


class Transition(BaseModel):
    """`state/<n>`: since when a job has been in a state, by whom, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    state: JobState
    reason: str = ""
    by: str = Field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    at: str = Field(
        default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds")
    )

    @property
    def ended(self) -> bool:
        """Whether nothing more is going to happen, unless the job is resumed."""
        return self.state in _ENDED


class LifeCycle:
    """The states of the job in a store, as objects `state/1`, `state/2`, ... that are created once.

    The highest counts. Two processes that want to go on from the same state cannot both: the one
    that comes second sees the other's state, and whether its own may follow that.
    """

    def __init__(self, store: Store) -> None:
        self._store = store.within("state")

    def now(self) -> Transition | None:
        """The state; None for a job that was written before states were kept."""
        return self._last()[1]

    def turn(self, state: JobState, reason: str = "") -> Transition:
        """Go on to a state.

        Raises:
            JobError: it may not follow the present one.
        """
        while True:
            number, present = self._last()
            if state not in _NEXT[present.state if present else None]:
                raise JobError(
                    f"{self._store.url.removesuffix('/state')} is {_told(present)}, so it cannot "
                    f"become {state}"
                )
            found = Transition(state=state, reason=reason)
            if self._store.create(str(number + 1), found.model_dump_json().encode()):
                return found

    def mirror(self, state: JobState) -> None:
        """Tell the state of a job that lies elsewhere, to workers that see this store alone."""
        while True:
            told = Transition(state=state).model_dump_json().encode()
            if self._store.create(str(self._last()[0] + 1), told):
                return

    @property
    def ended(self) -> bool:
        """Whether the job wants nothing more."""
        present = self.now()
        return present is not None and present.ended

    def _last(self) -> tuple[int, Transition | None]:
        number = max((int(name) for name in self._store.names() if name.isdecimal()), default=0)
        return number, self._store.read(str(number), Transition) if number else None


class Living:
    """A job that runs: its states from `running` to its end, also in stores of its workers alone.

    As a context: interrupted, killed, or stopped by a store, the job is not at its end; workers
    wait, since it is going to be resumed. Once another process has taken over nothing is written.

    Args:
        check: raises `JobLost` when it was.
        others: the life cycles in stores that workers see instead of the job's.
    """

    def __init__(self, own: LifeCycle, check: Check, others: Sequence[LifeCycle] = ()) -> None:
        self._own, self._check, self._others = own, check, others
        self._asked, self._looked = False, 0.0

    @property
    def stopping(self) -> bool:
        """Whether somebody has asked the job to stop.

        Raises:
            JobError: another process has taken over.
        """
        if not self._asked and time.monotonic() - self._looked >= _LOOK_EVERY:
            with suppress(StoreError):  # out of reach for a while: what must be written will tell
                self._look()
            self._looked = time.monotonic()
        return self._asked

    def __enter__(self) -> Living:
        self._turn("running")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._look()
            self._turn("cancelled" if self._asked else "done")
        elif isinstance(error, KeyboardInterrupt) and not self._asked:
            with suppress(HwnasError):
                self._turn("stopping", "interrupted")
        elif isinstance(error, HwnasError) and not isinstance(error, JobLost | StoreError):
            with suppress(HwnasError):  # the reason is told; that it cannot be written is no news
                self._turn("failed", str(error))

    def _look(self) -> None:
        self._check()
        present = self._own.now()
        self._asked = present is not None and present.state == "stopping"

    def _turn(self, state: JobState, reason: str = "") -> None:
        self._check()
        self._own.turn(state, reason)
        if state != "stopping":
            for other in self._others:
                other.mirror(state)


def _told(present: Transition | None) -> str:
    return "of an older version" if present is None else present.state
