"""Where the files of a trial are: `<job>/nas/search/<trial>/` and `<job>/nas/train/<trial>/`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal, cast

from hwnas.errors import UsageError

Stage = Literal["search", "train"]

ANSWER = "model_latency.json"
"""What a latency calculator tells of a model, beside the model."""

PARAMS = "nas_params_str.json"
"""The arch of a trial, as its trainer was given it."""

MODEL_DIRS = ("saved_model", "model")
"""Where trainers save models that say nothing about it: now, and in the tutorial's older form."""

_TRIAL = re.compile(r"(?P<job>.*)/nas/(?P<stage>search|train)/(?P<trial>\d+)")


@dataclass(frozen=True)
class TrialPlace:
    """A trial's folder; `job` is the path or URL of its job, trials count from 1."""

    job: str
    stage: Stage
    trial: int

    @classmethod
    def of(cls, path: str) -> TrialPlace | None:
        """The trial that a path belongs to; None if it belongs to none."""
        found = _TRIAL.match(path)
        if found is None:
            return None
        return cls(found["job"], cast(Stage, found["stage"]), int(found["trial"]))

    @classmethod
    def here(cls) -> TrialPlace | None:
        """The trial that this process trains, by AIP_MODEL_DIR; None outside of trials.

        Raises:
            UsageError: AIP_MODEL_DIR is set to something else than a trial's folder.
        """
        value = os.environ.get("AIP_MODEL_DIR")
        if not value:
            return None
        place = cls.of(value)
        if place is None:
            raise UsageError(
                f"AIP_MODEL_DIR is '{value}'; expected .../nas/search/<n> or .../nas/train/<n>"
            )
        return place

    @property
    def folder(self) -> str:
        """The trial's folder."""
        return f"{self.job}/nas/{self.stage}/{self.trial}"
