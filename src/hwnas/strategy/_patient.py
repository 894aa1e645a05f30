"""A study in a database that may go away and come back."""

from __future__ import annotations

import logging
import random
import re
import time
import weakref
from collections.abc import Callable, Container, Sequence
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from hwnas._patience import patience
from hwnas.errors import StoreError

T = TypeVar("T")

_LOG = logging.getLogger("hwnas")
_LONGEST_PAUSE = 5.0
_FOR_EVER = re.compile(r"authentication failed|does not exist|no pg_hba|no password|unknown host")


class PatientStorage(BaseStorage):
    """A storage in a database, whose operations are tried again while it is out of reach.

    An operation may have been done although its confirmation was lost. So all of them can be done
    twice: parameters, attributes and steps are overwritten with the same; a trial that was told
    already is looked at; of a trial that was created twice, the first is left `RUNNING` without
    parameters, and whoever writes the study must clear it away.

    The methods are those of `BaseStorage`. They raise `StoreError` when the database was away for
    `patience()` seconds, or at once where waiting cannot help.

    Args:
        url: of the database, as SQLAlchemy takes it.
        name: the URL without a password, for messages.
    """

    def __init__(self, url: str, name: str) -> None:
        self._backend = patiently(lambda: RDBStorage(url), name)
        self._inner, self._name = get_storage(self._backend), name
        weakref.finalize(self, self._backend.engine.dispose)

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        return self._tried(lambda: self._inner.create_new_study(directions, study_name))

    def delete_study(self, study_id: int) -> None:
        self._tried(lambda: self._inner.delete_study(study_id))

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._tried(lambda: self._inner.set_study_user_attr(study_id, key, value))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._tried(lambda: self._inner.set_study_system_attr(study_id, key, value))

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._tried(lambda: self._inner.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._tried(lambda: self._inner.get_study_name_from_id(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._tried(lambda: self._inner.get_study_directions(study_id))

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._tried(lambda: self._inner.get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._tried(lambda: self._inner.get_study_system_attrs(study_id))

    def get_all_studies(self) -> list[FrozenStudy]:
        return self._tried(self._inner.get_all_studies)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        return self._tried(lambda: self._inner.create_new_trial(study_id, template_trial))

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        self._tried(
            lambda: self._inner.set_trial_param(
                trial_id, param_name, param_value_internal, distribution
            )
        )

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        tries = 0

        def tell() -> bool:
            nonlocal tries
            tries += 1
            try:
                return self._inner.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                if tries > 1 and self._inner.get_trial(trial_id).state == state:
                    return True
                raise

        return self._tried(tell)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        self._tried(
            lambda: self._inner.set_trial_intermediate_value(trial_id, step, intermediate_value)
        )

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._tried(lambda: self._inner.set_trial_user_attr(trial_id, key, value))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._tried(lambda: self._inner.set_trial_system_attr(trial_id, key, value))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._tried(lambda: self._inner.get_trial(trial_id))

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        return self._tried(lambda: self._inner.get_all_trials(study_id, deepcopy, states))

    def remove_session(self) -> None:
        self._inner.remove_session()

    def _tried(self, operation: Callable[[], T]) -> T:
        return patiently(operation, self._name, self._inner.remove_session)


def patiently(operation: Callable[[], T], name: str, reset: Callable[[], None] = lambda: None) -> T:
    """The result of an operation on the database `name`, tried again while that is out of reach.

    `reset` drops a session whose transaction was cut off, and which would refuse all that follows.

    Raises:
        StoreError: it was away for too long, or will not come back.
    """
    from sqlalchemy.exc import (
        DBAPIError,
        InterfaceError,
        OperationalError,
        PendingRollbackError,
        SQLAlchemyError,
    )

    began, pause = time.monotonic(), 0.05
    while True:
        try:
            return operation()
        except (StorageInternalError, SQLAlchemyError) as error:
            cause = error.__cause__ if isinstance(error, StorageInternalError) else error
            reason = str(cause or error).strip().splitlines()[0]
            away = isinstance(cause, (OperationalError, InterfaceError, PendingRollbackError)) or (
                isinstance(cause, DBAPIError) and cause.connection_invalidated
            )
            if not away or name.startswith("sqlite") or _FOR_EVER.search(str(cause)):
                raise StoreError(f"the database {name}: {reason}") from error
            reset()
            waited, most = time.monotonic() - began, patience()
            if waited >= most:
                raise StoreError(
                    f"the database {name} was out of reach for {most:g} s: {reason}"
                ) from error
            if pause == 0.05:
                _LOG.warning("the database %s is out of reach, waiting for it: %s", name, reason)
            time.sleep(min(pause * random.uniform(0.5, 1), max(0.0, most - waited)))
            pause = min(2 * pause, _LONGEST_PAUSE)
