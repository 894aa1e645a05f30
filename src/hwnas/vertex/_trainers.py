"""A trainer, and what each of its trials is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hwnas.errors import UsageError
from hwnas.vertex._layout import Stage
from hwnas.vertex._programs import Program
from hwnas.vertex._spaces import VertexSpace

_RETRAIN_DIR, _RETRAIN_TRIALS = "retrain_search_job_dir", "retrain_search_job_trials"
_OURS = ("nas_params_str", "job-dir", _RETRAIN_DIR, _RETRAIN_TRIALS)

SEARCH_TRIAL = "search_trial"
"""The one decision of a train job: which trial of the search is trained in full."""


@dataclass(frozen=True)
class Trainer(ABC):
    """A program that follows Vertex's protocol.

    Args:
        program: what is started for each trial.
        metric: the tag of the metric that is maximised.
        flags: further flags, handed on as `--name=value`.

    Raises:
        UsageError: a flag is one of the protocol's own.
    """

    program: Program
    metric: str
    flags: Mapping[str, str] = field(default_factory=dict)

    stage: ClassVar[Stage]

    def __post_init__(self) -> None:
        if taken := [name for name in self.flags if name.replace("job_dir", "job-dir") in _OURS]:
            raise UsageError(f"the flag {taken[0]} is set for each trial by the job itself")

    @abstractmethod
    def params_str(self, arch: Mapping[str, Any]) -> str:
        """The value of `--nas_params_str`."""

    @abstractmethod
    def trial_id(self, number: int, arch: Mapping[str, Any]) -> int:
        """The trial's number as the trainer is told it, from 1."""

    def flags_of(self, arch: Mapping[str, Any]) -> dict[str, str]:
        """The flags of a trial, beside `--job-dir`."""
        return {"nas_params_str": self.params_str(arch), **self.flags}


@dataclass(frozen=True)
class SearchTrainer(Trainer):
    """Trains what a search proposes."""

    space: VertexSpace = field(kw_only=True)
    stage: ClassVar[Stage] = "search"

    def params_str(self, arch: Mapping[str, Any]) -> str:
        """See `Trainer.params_str`."""
        return self.space.params_str(arch)

    def trial_id(self, number: int, arch: Mapping[str, Any]) -> int:
        """See `Trainer.trial_id`."""
        return number + 1


@dataclass(frozen=True)
class FullTrainer(Trainer):
    """Trains trials of a search in full.

    `params` are their archs by number, in the order in which the trials of this job count: the
    trainer finds its search trial by its own number.
    """

    search_dir: str = field(kw_only=True)
    params: Mapping[int, str] = field(kw_only=True)
    stage: ClassVar[Stage] = "train"

    def params_str(self, arch: Mapping[str, Any]) -> str:
        """See `Trainer.params_str`."""
        return self.params[arch[SEARCH_TRIAL]]

    def trial_id(self, number: int, arch: Mapping[str, Any]) -> int:
        """See `Trainer.trial_id`."""
        return list(self.params).index(arch[SEARCH_TRIAL]) + 1

    def flags_of(self, arch: Mapping[str, Any]) -> dict[str, str]:
        """See `Trainer.flags_of`."""
        return {
            **super().flags_of(arch),
            _RETRAIN_DIR: self.search_dir,
            _RETRAIN_TRIALS: ",".join(map(str, self.params)),
        }
