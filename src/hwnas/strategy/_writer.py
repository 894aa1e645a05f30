"""A study in a database, for the one process that writes it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from hwnas.strategy._patient import PatientStorage, patiently


class SoleWriter(PatientStorage):
    """A `PatientStorage` that knows what it has written, and writes in transactions.

    Optuna reads all trials that run several times for each that is told, and commits each parameter
    and attribute by itself: some 90 statements and 14 commits for a trial of six decisions. Where
    one process alone writes, it need not read what it wrote, and what belongs together can reach
    the database together, or not at all.
    """

    def __init__(self, reader: PatientStorage) -> None:
        self._reader = reader  # which closes the connections when it is gone
        self._backend, self._inner, self._name = reader._backend, reader._inner, reader._name
        self._trials: dict[int, FrozenTrial] | None = None
        self._pending: list[Callable[[], object]] | None = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write what the block writes together at its end; for one thread.

        What was written before the block raised is kept, since Optuna has seen it.
        """
        self._pending = []
        try:
            yield
        finally:
            pending, self._pending = self._pending, None
            if pending:
                self._write_together(pending)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        known = self._known(study_id)
        trial_id = super().create_new_trial(study_id, template_trial)
        number = self._tried(lambda: self._backend.get_trial_number_from_id(trial_id))
        if template_trial is not None or number != len(known):  # it was created twice, it seems
            self._trials = None
            self._known(study_id)
            return trial_id
        known[trial_id] = FrozenTrial(
            number=number,
            trial_id=trial_id,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )
        return trial_id

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._one(trial_id)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        found = [t for t in self._known(study_id).values() if states is None or t.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        trial = self._one(trial_id)
        value = distribution.to_external_repr(param_value_internal)
        self._change(
            trial_id,
            lambda: self._inner.set_trial_param(
                trial_id, param_name, param_value_internal, distribution
            ),
            params={**trial.params, param_name: value},
            distributions={**trial.distributions, param_name: distribution},
        )

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        self._change(
            trial_id,
            lambda: self._inner.set_trial_state_values(trial_id, state, values),
            state=state,
            values=values,
            datetime_complete=datetime.now() if state.is_finished() else None,
        )
        return True

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        self._change(
            trial_id,
            lambda: self._inner.set_trial_intermediate_value(trial_id, step, intermediate_value),
            intermediate_values={
                **self._one(trial_id).intermediate_values,
                step: intermediate_value,
            },
        )

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._change(
            trial_id,
            lambda: self._inner.set_trial_user_attr(trial_id, key, value),
            user_attrs={**self._one(trial_id).user_attrs, key: _as_read(value)},
        )

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._change(
            trial_id,
            lambda: self._inner.set_trial_system_attr(trial_id, key, value),
            system_attrs={**self._one(trial_id).system_attrs, key: _as_read(value)},
        )

    def _known(self, study_id: int) -> dict[int, FrozenTrial]:
        if self._trials is None:
            self._trials = {t._trial_id: t for t in super().get_all_trials(study_id)}
        return self._trials

    def _one(self, trial_id: int) -> FrozenTrial:
        assert self._trials is not None, "whoever has a trial has created or listed it"
        return self._trials[trial_id]

    def _change(self, trial_id: int, write: Callable[[], object], **fields: Any) -> None:
        if self._pending is None:
            self._write_together([write])
        else:
            self._pending.append(write)
        # Those who hold the trial as it was keep it.
        changed = copy.copy(self._one(trial_id))
        for name, value in fields.items():
            setattr(changed, name, value)
        assert self._trials is not None
        self._trials[trial_id] = changed

    def _write_together(self, writes: list[Callable[[], object]]) -> None:
        tries = 0

        def write() -> None:
            nonlocal tries
            tries += 1
            try:
                with self._one_transaction():
                    for one in writes:
                        one()
            except UpdateFinishedTrialError:
                # It was written the time before, all of it, and the confirmation was lost.
                if tries == 1:
                    raise

        patiently(write, self._name, self._inner.remove_session)

    @contextmanager
    def _one_transaction(self) -> Iterator[None]:
        """Commits of Optuna's inside do nothing; the end of the block commits."""
        sessions = self._backend.scoped_session
        with self._backend.engine.begin() as connection:
            sessions.remove()
            sessions.configure(bind=connection, join_transaction_mode="rollback_only")
            try:
                yield
            finally:
                sessions.remove()
                sessions.configure(bind=self._backend.engine)


def _as_read(value: Any) -> Any:
    """The same round trip through JSON that the database would give."""
    return json.loads(json.dumps(value))
