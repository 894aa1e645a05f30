"""Whether a trial that ended without a result is run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Trial

ATTEMPTS = "attempts"
"""How often a trial has failed, retries included."""
STALE = "stale"
"""How often a trial showed no life; that is no failure of the trial."""
MOST_STALE = 5
"""After so many the machines are not worth another attempt, and the trial has failed."""


def runs_again(trial: Trial, kind: str, retries: int) -> bool:
    """Count how a trial ended, in the study, and say whether it has another attempt.

    A failure uses up one of `retries`, a trial without a sign of life none of them, and a verdict
    of the trainer that the network is infeasible is final.
    """
    key, most = (STALE, MOST_STALE) if kind == "stale" else (ATTEMPTS, retries)
    count = trial.user_attrs.get(key, 0) + 1
    trial.set_user_attr(key, count)
    return count <= most and kind != "infeasible"
