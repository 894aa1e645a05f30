"""The loop that runs a search: it alone writes the study."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import TYPE_CHECKING

import optuna
from optuna.trial import TrialState

from hwnas._estimate import Estimate
from hwnas._process import Message
from hwnas.errors import ArchError, BudgetError, CostError, JobError, StoreError
from hwnas.jobs._executors.base import NOT_KEPT, Executor
from hwnas.jobs._folder.spec import Result
from hwnas.jobs._measuring.meter import Meter
from hwnas.jobs._queue.sizing import MeasuredIn, Pace
from hwnas.jobs._records.attempts import runs_again
from hwnas.jobs._records.view import MEASURED_IN, VOID, counted, record_of
from hwnas.strategy import ArchSampler, StudyStore, suggest

if TYPE_CHECKING:
    from hwnas.budget import Budget, Reward
    from hwnas.cost import Cost
    from hwnas.jobs._folder.job import Job
    from hwnas.jobs._folder.trial_folder import TrialFolder
    from hwnas.jobs._search.observer import Observer
    from hwnas.space import Arch, SearchSpace


class Coordinator:
    """Asks the strategy, hands archs to the executor, has the results measured, tells the study.

    A trial that is `RUNNING` in the study when the coordinator starts was cut off by a kill. It is
    run again under its number; if its manifest is there it is trained, and only measured.
    """

    def __init__(
        self,
        job: Job,
        space: SearchSpace,
        costs: Mapping[str, Cost],
        sampler: ArchSampler,
        store: StudyStore,
        budget: Budget,
        reward: Reward,
        executor: Executor,
        meter: Meter | None,
        events: queue.Queue[Message],
        observer: Observer,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._job = job
        self._space = space
        self._costs = costs
        self._store = store
        self._budget = budget
        self._reward = reward
        self._executor = executor
        self._meter = meter
        self._events = events
        self._observer = observer
        self._stopping = stopping
        self._study = store.create([o.direction for o in job.spec.objectives])
        self._study.sampler = self._sampler = sampler
        self._running: dict[int, optuna.Trial] = {}
        self._archs: dict[int, Arch] = {}
        self._results: dict[int, Message] = {}
        self._waiting = self._interrupted()
        known = self._trials()
        self._counted = len(known)
        self.completed = sum(trial.state == TrialState.COMPLETE for trial in known)
        limit = job.spec.time_limit
        self._end = None if limit is None else time.monotonic() + limit
        self.pace = Pace(job.spec.parallel)
        self._failed = 0  # in this run: whoever resumes has dealt with what failed before

    @property
    def done(self) -> int:
        """How many trials have ended."""
        return self._counted - len(self._waiting) - len(self._running)

    @property
    def ending(self) -> bool:
        """Whether the search has taken as long as it may, or is cancelled: no trial starts any
        more, and those that run are asked to stop."""
        return self._stopping() or (self._end is not None and time.monotonic() >= self._end)

    @property
    def exhausted(self) -> bool:
        """Whether every arch that may be proposed has been tried."""
        return self._sampler.exhausted(self._study)

    def run(self, pause_at: int | None = None) -> None:
        """Run until the trials asked for are done, or so many are completed and none runs.

        Raises:
            JobError: more trials failed than the job allows, or a worker cannot start.
            StoreError: a store, the database or the disk was away or full for too long; nothing is
                told of the trials that run, so that they run again when the job goes on.
        """
        self._executor.warm_up(self._job.spec.trials - self.done)
        while True:
            self._fill(pause_at)
            if not self._running:
                self._clear_strays()
                return
            if self.ending:
                # Said again and again, since a worker that is still starting does not hear it.
                for number in self._running:
                    self._executor.stop(number)
            event = self._executor.next_event(timeout=1.0)
            if event is not None:
                self._handle(event)
            if self._failed > self._job.spec.max_failed:
                raise JobError(self._too_many_failures())

    def _fill(self, pause_at: int | None) -> None:
        while self._executor.free > 0 and not self.ending:
            if self._waiting:
                self._start(self._waiting.pop(0))
            elif pause_at is not None and self.completed >= pause_at:
                return
            elif self._counted < self._job.spec.trials and not self.exhausted:
                with self._store.transaction():
                    trial = self._study.ask()
                    suggest(trial, self._space)
                self._counted += 1
                self._start(trial)
            else:
                return

    def _start(self, trial: optuna.Trial) -> None:
        number = trial.number
        self._running[number] = trial
        self._archs[number] = self._space.canonical(trial.params)
        files = self._job.trial(number)
        self._observer.trial_started(number)
        result = self._trained(files)
        if result is not None:
            self._events.put({"type": "done", "trial": number, **result.model_dump()})
            return
        described = {"space": self._job.spec.space.model_dump(), "arch": self._archs[number]}
        self._job.write(f"trials/{number}/arch.json", described)
        self._executor.train(number, self._archs[number], files)

    def _trained(self, files: TrialFolder) -> Result | None:
        try:
            return files.result()
        except StoreError as error:
            self._observer.phase(f"{error}; training it again")
            files.discard()
            return None

    def _handle(self, event: Message) -> None:
        number = event["trial"]
        if number not in self._running:
            return
        kind = event["type"]
        if kind == "report":
            self._observer.reported(number, event["step"], event["metrics"])
            self._record_step(number, event)
        elif kind == "done":
            self._results[number] = event
            if self._meter is None:
                self._finish(number, {}, {})
            else:
                self._observer.measuring(number)
                self._meter.submit(number, self._archs[number])
        elif kind == "measured":
            self.pace.add(self._results[number]["elapsed"], event["times"])
            for line in self.pace.too_few():
                self._observer.noted(line)
            self._finish(number, event["costs"], event["times"])
        elif kind == "failed":
            self._fail(number, event["kind"], event["reason"])
        elif kind == "broken":
            raise event["error"]

    def _record_step(self, number: int, event: Message) -> None:
        value = event["metrics"].get(self._job.spec.metric)
        if value is None or len(self._job.spec.objectives) > 1:
            return
        # A trial that is run again after a kill has reported its first steps before.
        known = self._study.get_trials(deepcopy=False)[number].intermediate_values
        if event["step"] not in known:
            self._running[number].report(value, event["step"])

    def _finish(
        self, number: int, measured: dict[str, Estimate], times: dict[str, MeasuredIn]
    ) -> None:
        result = self._results.pop(number)
        try:
            arch = self._archs[number]
            costs: dict[str, Estimate] = {
                **{name: Estimate(float(value)) for name, value in result["costs"].items()},
                **{name: cost.estimate(arch) for name, cost in self._costs.items()},
                **measured,
            }
            known = {**{name: Estimate(v) for name, v in result["metrics"].items()}, **costs}
            violations = self._budget.violations(known)
            accuracy = result["metrics"][self._job.spec.metric]
            reward = self._reward(accuracy, known, self._budget)
            values = [self._objective(o.name, reward, known) for o in self._job.spec.objectives]
        except (BudgetError, CostError) as error:
            self._fail(number, "metrics", str(error))
            return
        trial = self._running.pop(number)
        with self._store.transaction():
            for key, value in violations.items():
                trial.set_constraint(key, value)
            trial.set_user_attr("metrics", result["metrics"])
            trial.set_user_attr("costs", {k: [e.value, e.std] for k, e in costs.items()})
            trial.set_user_attr("reward", reward)
            trial.set_user_attr("step", result["step"])
            trial.set_user_attr("elapsed", result["elapsed"])
            if times:
                trial.set_user_attr(MEASURED_IN, {k: list(astuple(t)) for k, t in times.items()})
            self._study.tell(trial, values)
        self.completed += 1
        self._announce(number)

    def _objective(self, name: str, reward: float, known: dict[str, Estimate]) -> float:
        if name == "reward":
            return reward
        if name not in known:
            raise BudgetError(f"objective '{name}' is none of: {', '.join(sorted(known))}")
        return known[name].value

    def _fail(self, number: int, kind: str, reason: str) -> None:
        if kind == NOT_KEPT:
            raise StoreError(f"trial {number} could not be kept: {reason}")
        trial = self._running.pop(number)
        self._results.pop(number, None)
        if runs_again(trial, kind, self._job.spec.retries):
            self._archs.pop(number)
            self._observer.retried(number, kind, reason)
            self._waiting.insert(0, trial)
            return
        with self._store.transaction():
            trial.set_user_attr("failure", {"kind": kind, "reason": reason})
            self._study.tell(trial, state=TrialState.FAIL)
        self._failed += 1
        self._announce(number)

    def _announce(self, number: int) -> None:
        self._archs.pop(number)
        trial = self._study.get_trials(deepcopy=False)[number]
        self._observer.trial_ended(record_of(trial, self._job, self._budget))

    def _too_many_failures(self) -> str:
        failed = [t for t in self._trials() if t.state == TrialState.FAIL]
        reason = failed[-1].user_attrs.get("failure", {}).get("reason", "")
        count = "1 trial" if self._failed == 1 else f"{self._failed} trials"
        return (
            f"{count} failed, more than the {self._job.spec.max_failed} allowed "
            f"(--max-failed); the last was trial {failed[-1].number}: {reason}"
        )

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return counted(self._study.get_trials(deepcopy=False))

    def _interrupted(self) -> list[optuna.Trial]:
        """The trials that were running when an earlier coordinator was killed."""
        found = []
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            trial = optuna.Trial(self._study, frozen._trial_id)
            try:
                self._space.validate(frozen.params)
            except ArchError:
                self._void(trial)
            else:
                found.append(trial)
        return found

    def _clear_strays(self) -> None:
        """A database that went away as a trial was created may hold it twice."""
        known = {trial.number for trial in self._waiting}  # there is no time left for these
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if frozen.number not in known:
                self._void(optuna.Trial(self._study, frozen._trial_id))

    def _void(self, trial: optuna.Trial) -> None:
        trial.set_user_attr(VOID, True)
        self._study.tell(trial, state=TrialState.FAIL)
