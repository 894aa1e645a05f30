"""Stage 2 inside a search: whenever so many trials have ended, the best are trained in full."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hwnas.jobs._folder.job import Job
from hwnas.jobs._folder.spec import QUEUE, JobSpec
from hwnas.jobs._records.train_jobs import IN_SEARCH, best_first, parent_of, train_fields
from hwnas.jobs._records.view import view_of
from hwnas.jobs._search.observer import Observer

if TYPE_CHECKING:
    from hwnas.jobs._folder.spec import TrainEvery
    from hwnas.jobs._records.records import TrialRecord
    from hwnas.space import SearchSpace


class InSearch:
    """The train job that a search with `train_every` keeps, `train/in-search`.

    After every so many completed trials of the search the best that are not in it yet are added.
    What was chosen stands in its `job.json`, so a search that was killed chooses nothing twice.

    Args:
        job: the search.
        wanted: how often, how many and how they are trained.
        run: runs a train job to its end, or goes on with it.
    """

    def __init__(
        self, job: Job, wanted: TrainEvery, space: SearchSpace, run: Callable[[Job], object]
    ) -> None:
        self._job, self._wanted, self._space, self._run = job, wanted, space, run
        self._where = f"{job.where}/{IN_SEARCH}"
        self._train = Job.open(self._where) if Job.exists(self._where) else None
        self._cut_off = self._train is not None and self._is_cut_off(self._train)

    @property
    def pause_at(self) -> int:
        """At how many completed trials of the search it is to pause for stage 2."""
        if self._cut_off:
            return 0
        return self._after + self._wanted.every

    @property
    def _after(self) -> int:
        return self._train.spec.parent.after if self._train and self._train.spec.parent else 0

    def train(self) -> None:
        """Choose what is due, and train what is not trained yet."""
        view = view_of(self._job)
        due = len(view.complete) // self._wanted.every * self._wanted.every
        if due > self._after:
            self._choose(list(best_first(view)), due)
        if self._train is not None:
            self._run(self._train)
            self._cut_off = False

    def _choose(self, ranked: list[TrialRecord], due: int) -> None:
        before = self._train.spec.parent if self._train else None
        known = {chosen.number for chosen in before.chosen} if before else set()
        best = [trial for trial in ranked if trial.number not in known][: self._wanted.top]
        if self._train is None or before is None:
            self._train = Job.create(self._where, self._spec(best, due), self._space)
            return
        if best:
            chosen = (*before.chosen, *parent_of(self._job, best).chosen)
            before = before.model_copy(update={"chosen": chosen})
        count = len(before.chosen)
        parent = before.model_copy(update={"after": due})
        self._train.ask_for(parent=parent, trials=count, max_failed=count)

    def _spec(self, best: list[TrialRecord], due: int) -> JobSpec:
        spec = self._job.spec
        fields = train_fields(self._job, self._where, best)
        fields["trainer_options"] = {**spec.trainer_options, **self._wanted.options}
        fields["trial_timeout"] = self._wanted.trial_timeout
        fields["parent"] = fields["parent"].model_copy(update={"after": due})
        fields["devices"] = [
            # The workers of the search's own queue measure for stage 2, too.
            one.model_copy(update={"store": self._job.address})
            if one.runtime == QUEUE and one.store is None
            else one
            for one in spec.devices
        ]
        return JobSpec(**fields)

    @staticmethod
    def _is_cut_off(train: Job) -> bool:
        ended = [t for t in view_of(train).trials if t.state != "running"]
        return len(ended) < train.spec.trials


class Beside(Observer):
    """Tells the observer of a search what the stage 2 inside it does, as phases."""

    def __init__(self, outer: Observer) -> None:
        self._outer = outer

    def started(self, job: Job, done: int) -> None:
        """See `Observer`."""
        left = job.spec.trials - done
        self._outer.phase(f"stage 2: training {left} of the best trials in full, in {job.where}")

    def trial_ended(self, record: TrialRecord) -> None:
        """See `Observer`."""
        how = "failed" if record.failure else "is trained in full"
        self._outer.phase(f"stage 2: its trial {record.number} {how}")

    def retried(self, number: int, kind: str, reason: str) -> None:
        """See `Observer`."""
        self._outer.phase(f"stage 2: its trial {number} failed, and is run again: {reason}")

    def phase(self, text: str) -> None:
        """See `Observer`."""
        self._outer.phase(f"stage 2: {text}")

    def noted(self, text: str) -> None:
        """See `Observer`."""
        self._outer.noted(f"stage 2: {text}")
