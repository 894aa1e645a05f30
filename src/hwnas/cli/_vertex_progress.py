"""Lines about the trials of a Vertex job, with the numbers that its trainer knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hwnas.cli._console import command, err, say
from hwnas.jobs import Observer

if TYPE_CHECKING:
    from hwnas.jobs import Job, TrialRecord
    from hwnas.vertex import NasJob


@contextmanager
def watched_search() -> Iterator[Callable[[NasJob], Observer]]:
    """What tells of a search's jobs; an interrupted search says how to go on with it."""
    jobs: list[NasJob] = []

    def watch(job: NasJob) -> Observer:
        jobs.append(job)
        return VertexProgress(job)

    try:
        yield watch
    except KeyboardInterrupt:
        if jobs:
            words = ("--previous_nas_job_id", jobs[0].id, "--job_name", jobs[0].name)
            again = command("vertex", "search_resume", *words, "--max_nas_trial")
            say(f"interrupted; what is done is kept. To go on: {again} N", err)
        raise


class VertexProgress(Observer):
    """A line per trial."""

    def __init__(self, job: NasJob) -> None:
        self._metric = ""
        self._job = job
        # The words of Vertex's client, which scripts look for.
        say(f"NAS {job.kind.capitalize()} job ID: {job.id}")

    def started(self, job: Job, done: int) -> None:
        """See `Observer`."""
        spec = job.spec
        self._metric = spec.metric
        before = f" ({done} of them are done)" if done else ""
        say(f"{spec.trials} trials{before}, {spec.parallel} at a time, in {job.where}")

    def trial_ended(self, record: TrialRecord) -> None:
        """See `Observer`."""
        from hwnas.budget import format_number
        from hwnas.report import one_line
        from hwnas.vertex import trial_id

        number, of = trial_id(self._job, record), ""
        if self._job.kind == "train":
            of = f" (trial {self._job.trials[number - 1]} of the search)"
        if record.failure is not None:
            say(one_line(f"trial {number}{of} failed: {record.failure.reason}"))
            return
        names = [self._metric, *(name for name in record.metrics if name != self._metric)]
        facts = [f"{name} {format_number(record.metrics[name], 4)}" for name in names]
        say(one_line(f"trial {number}{of}: {', '.join(facts)}"))
