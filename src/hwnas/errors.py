"""Errors a user can meet. Each message is one line: what is wrong, where, and what to do."""

from __future__ import annotations


class HwnasError(Exception):
    """Base of every error that hwnas raises on purpose."""


class SpaceError(HwnasError):
    """A search space is ill-formed."""


class ArchError(SpaceError):
    """An arch does not belong to its space; the message names the decision's path."""


class BudgetError(HwnasError):
    """A budget, or a number judged by one, makes no sense."""


class InfeasibleError(HwnasError):
    """No arch of a space keeps a budget; found out before anything was trained."""


class CostError(HwnasError):
    """A cost cannot be computed for a model."""


class PredictError(HwnasError):
    """A latency predictor cannot be fitted, adapted, read or asked; or its table is wrong."""


class DeviceError(HwnasError):
    """A measurement could not be taken; there is no number to use in its place."""


class ModelFault(DeviceError):
    """One model cannot be measured, and others on the same device can.

    `kind` is the reason in a word: `crash` (it killed its process), `memory`, `timeout`,
    `not finite` (its output holds NaN), `dynamic shape`, `unsupported operator`, `disagreement`
    (the runtime computes something else than the eager model), `connection` (the connection to
    the device was cut at it again and again), or `failure` for any other.
    """

    def __init__(self, message: str, kind: str = "failure") -> None:
        super().__init__(message)
        self.kind = kind


class DataError(HwnasError):
    """Data cannot be read; the message names the file."""


class TrialError(HwnasError):
    """A trial failed; the message is the reason recorded with it."""


class InfeasibleTrial(TrialError):
    """A trainer's verdict: this network cannot be used, and no retry would change that.

    Raised by a trainer, with the reason as its message. The trial counts as failed, once.
    """


class JobError(HwnasError):
    """A job cannot be started, resumed or read."""


class StoreError(HwnasError):
    """Objects of a store, or a study in a database, cannot be read or written.

    The message names the URL. It is raised after the server was away for a while: what is done is
    kept, and the job can go on later.
    """


class UsageError(HwnasError):
    """A name or an option that hwnas does not know."""


def describe(error: BaseException) -> str:
    """An error in one line; our own errors speak for themselves, others name their class."""
    text = str(error).strip().splitlines()
    first = text[0] if text else "no message"
    return first if isinstance(error, HwnasError) else f"{type(error).__name__}: {first}"
