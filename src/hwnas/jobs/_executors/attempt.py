"""An attempt at a trial, in the job's store: what is asked, who runs it, how it ended."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

from hwnas.jobs._folder.spec import Result
from hwnas.jobs._folder.trial_folder import TrialFolder

if TYPE_CHECKING:
    from hwnas.jobs._folder.job import Job

ROOM = "attempts"
"""Where attempts lie in a job's store: `attempts/<trial>/<attempt>/`."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Order(_Strict):
    """What a trial's process needs beside the request of the job.

    `lease` is how many seconds without a sign of life mean that the attempt is lost.
    """

    schema_version: Literal[1] = 1
    arch: dict[str, Any]
    seed: int
    metric: str
    exports: dict[str, tuple[int, ...]]
    timeout: float | None = None
    lease: float = Field(gt=0)
    threads: int | None = None


class Report(_Strict):
    """What the trainer reported once."""

    step: int
    elapsed: float
    metrics: dict[str, FiniteFloat]


_REPORTS = TypeAdapter(list[Report])


class Outcome(_Strict):
    """How an attempt ended: `kind` and `reason` unless it is done.

    `broken` means that nothing can be trained there, `cancelled` that nobody wants it any more.
    """

    schema_version: Literal[1] = 1
    status: Literal["done", "failed", "broken", "cancelled"]
    kind: str = ""
    reason: str = ""
    result: Result | None = None


class Attempt:
    """One attempt. Both sides only create objects or overwrite their own.

    `outcome.json` is created once, by whoever comes first: the process that trains, or the
    coordinator when it gives the attempt up. So there is one answer, and what a process that was
    given up writes later does not count. It sees that within a second or so, and ends. When the
    trial is trained its attempts are removed.
    """

    def __init__(self, job: Job, trial: int, number: int) -> None:
        self.job, self.trial, self.number = job, trial, number
        self.prefix = f"{ROOM}/{trial}/{number}"
        self.store = job.store
        self.beat = f"{self.prefix}/beat"
        self.folder = job.folder / self.prefix

    @property
    def files(self) -> TrialFolder:
        """What its process leaves; the trial's folder takes it over if it is done."""
        url = self.job.place.url
        there = None if url is None else f"{url}/{self.prefix}/files"
        return TrialFolder(self.folder / "files", there, job=self.job.address)

    @classmethod
    def last(cls, job: Job, trial: int) -> Attempt | None:
        """The attempt of the highest number, if there is any."""
        found = [
            int(parts[2])
            for parts in (name.split("/") for name in job.store.names(f"{ROOM}/{trial}"))
            if len(parts) == 4 and parts[2].isdecimal() and parts[3] == "order.json"
        ]
        return cls(job, trial, max(found)) if found else None

    def alive(self) -> bytes | None:
        """What changes while its process lives; None before it began and after it ended."""
        return self.store.get(self.beat)

    def give(self, order: Order) -> None:
        """Write what is to be done; the attempt exists from then on."""
        self.store.put(f"{self.prefix}/order.json", order.model_dump_json().encode())

    def order(self) -> Order | None:
        """What is to be done."""
        return self.store.read(f"{self.prefix}/order.json", Order)

    def begin(self, name: str) -> bool:
        """To be called by the process that trains; False if another did, or is not to any more.

        A scheduler may run a command twice.
        """
        return self.store.create(f"{self.prefix}/claim", name.encode()) and self.wanted

    @property
    def wanted(self) -> bool:
        """Whether it may still count: nobody has given it up, and the trial is not trained."""
        return self.order() is not None and self.outcome() is None

    @property
    def begun(self) -> bool:
        """Whether a process has begun with it."""
        return self.store.get(f"{self.prefix}/claim") is not None

    def tell(self, reports: list[Report]) -> None:
        """Let others see what the trainer reported so far."""
        self.store.put(f"{self.prefix}/reports.json", _REPORTS.dump_json(reports))

    def told(self) -> list[Report]:
        """What the trainer reported so far."""
        return self.store.read(f"{self.prefix}/reports.json", list[Report]) or []

    def ask_to_stop(self) -> None:
        """Ask the trainer to return early."""
        self.store.put(f"{self.prefix}/stop", b"")

    @property
    def asked_to_stop(self) -> bool:
        """Whether the trainer is to return early."""
        return self.store.get(f"{self.prefix}/stop") is not None

    def end(self, outcome: Outcome) -> Outcome:
        """Say how it ended; the answer is what counts, which may be another's."""
        name = f"{self.prefix}/outcome.json"
        if self.store.create(name, outcome.model_dump_json().encode()):
            return outcome
        return self.outcome() or outcome

    def discard_all(self) -> None:
        """Remove all attempts at the trial: it is trained, and nobody asks for them any more."""
        room = f"{ROOM}/{self.trial}"
        for name in self.store.names(room):
            self.store.delete(name)
        shutil.rmtree(self.job.folder / room, ignore_errors=True)

    def outcome(self) -> Outcome | None:
        """How it ended; None while it has not."""
        return self.store.read(f"{self.prefix}/outcome.json", Outcome)
