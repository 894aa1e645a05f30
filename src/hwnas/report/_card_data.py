"""`card.json`: what an exported network is, for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hwnas._invalid import first_problem
from hwnas.errors import JobError
from hwnas.jobs import DeviceSpec, SpaceInfo

CARD = "card.json"


class Card(BaseModel):
    """The network, its figures, its budget, and what is needed to measure it again.

    Costs are (value, standard deviation) in canonical units; `declared` are the metrics and costs
    that the job's trainer and the user's own functions gave, never a device; `references` are the
    host speeds, by device, that latencies refer to; `pixels` are the mean and standard deviation of
    each channel that inputs are normalised by.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: str
    trial: int
    space: SpaceInfo
    arch: dict[str, Any]
    input_shape: tuple[int, ...] | None
    num_classes: int | None
    task: str | None
    metric: str
    declared: tuple[str, ...]
    metrics: dict[str, float]
    test: dict[str, float]
    costs: dict[str, tuple[float, float]]
    budget: str
    feasible: bool
    violations: dict[str, float]
    devices: tuple[DeviceSpec, ...]
    references: dict[str, float]
    pixels: tuple[tuple[float, ...], tuple[float, ...]] | None
    versions: dict[str, str]
    seed: int

    @classmethod
    def read(cls, folder: Path) -> Card:
        """The card of an export.

        Raises:
            JobError: the folder is no export, or its card cannot be read.
        """
        try:
            return cls.model_validate_json((folder / CARD).read_bytes())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise JobError(f"{folder} is no folder written by hwnas export: no {CARD}") from error
        except ValidationError as error:
            raise JobError(f"{folder / CARD} is damaged: {first_problem(error)}") from error
