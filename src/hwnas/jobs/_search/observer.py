"""Who watches a search while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas.jobs._folder.job import Job
    from hwnas.jobs._records.records import TrialRecord
    from hwnas.strategy import Candidates


class Observer:
    """Told of what happens, from the coordinator's thread; each method may be left as it is.

    Methods must return at once and must not raise.
    """

    def started(self, job: Job, done: int) -> None:
        """The search begins, `done` trials having ended in an earlier run."""

    def limited(self, candidates: Candidates) -> None:
        """The budget limits what is proposed: to `candidates`."""

    def trial_started(self, number: int) -> None:
        """A trial begins to train."""

    def reported(self, number: int, step: int, metrics: dict[str, float]) -> None:
        """A trial reported intermediate metrics."""

    def measuring(self, number: int) -> None:
        """A trained trial waits for its measurements."""

    def trial_ended(self, record: TrialRecord) -> None:
        """A trial ended, well or not."""

    def retried(self, number: int, kind: str, reason: str) -> None:
        """A trial failed, or was `stale` (`kind`, as in `Failure`), and is run again."""

    def phase(self, text: str) -> None:
        """What the search does now, when it is not training; empty when it trains again."""

    def noted(self, text: str) -> None:
        """Something that the user should know, and that stops nothing."""
