"""`job.json`: everything that a search was asked to do."""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from importlib import metadata
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hwnas import _plugins
from hwnas._invalid import first_problem
from hwnas.cost import Counting
from hwnas.errors import JobError, UsageError

_SCHEMA = 2
_VERSIONS = ("hwnas", "torch", "numpy", "optuna", "onnx", "onnxruntime")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SpaceInfo(_Strict):
    """Which space, and how to tell that it has changed. `reference` is None for objects that only
    the calling program can make."""

    name: str
    reference: str | None
    fingerprint: str
    code_hash: str
    size: int


class Objective(_Strict):
    """A value to optimise: `reward`, a trainer's metric, or a cost such as `latency@pixel6`."""

    name: str
    direction: Literal["max", "min"]

    @classmethod
    def parse(cls, text: str) -> tuple[Objective, ...]:
        """`max accuracy, min latency`; `reward` alone means `max reward`.

        Raises:
            UsageError: not of this form, or a name given twice.
        """
        found = []
        for part in text.split(","):
            words = part.split()
            if len(words) == 1 and words[0] == "reward":
                words = ["max", "reward"]
            if len(words) != 2 or words[0] not in ("max", "min"):
                raise UsageError(
                    f"objective '{part.strip()}' is not of the form 'max NAME' or 'min NAME'"
                )
            found.append(cls(name=words[1], direction=words[0]))  # type: ignore[arg-type]
        if len({o.name for o in found}) < len(found):
            raise UsageError(f"an objective is given twice in '{text}'")
        return tuple(found)


QUEUE = "queue"
"""The runtime of devices that workers elsewhere serve: see `hwnas.jobs.QueueDevice`."""

_NOT_IN_TEXT = ("name", "runtime", "via", "python", "process_std")


class DeviceSpec(_Strict):
    """A device: a name for the budget, and how models run on it.

    `via` is the command that gives a shell on its host, None for this one; `python` the Python
    there. `process_std` is by which measuring processes differ, where that was checked. `store` is
    the URL where workers find the models of a device of the runtime `queue`; None is the job's
    folder.
    """

    name: str = "local"
    runtime: str = "onnxruntime"
    threads: int = Field(default=1, ge=1)
    batch_size: int = Field(default=1, ge=1)
    precision: str = "fp32"
    accelerator: str = "cpu"
    via: str | None = None
    python: str = "python3"
    process_std: float | None = Field(default=None, ge=0, lt=1)
    store: str | None = None

    @model_validator(mode="after")
    def _of_the_worker(self) -> DeviceSpec:
        fields = type(self).model_fields
        of_worker = ("accelerator", "precision", "threads", "via")
        other = [name for name in of_worker if getattr(self, name) != fields[name].default]
        if self.runtime == QUEUE and other:
            raise ValueError(f"{', '.join(other)} of a queue's device is the worker's")
        if self.runtime != QUEUE and self.store is not None:
            raise ValueError(f"store goes with the runtime {QUEUE}")
        return self

    @property
    def reads_onnx(self) -> bool:
        """Whether it is given ONNX files; else modules."""
        return self.runtime == QUEUE or bool(_plugins.load("runtimes", self.runtime).reads_onnx)

    @classmethod
    def parse(cls, text: str) -> DeviceSpec:
        """`NAME`, or `NAME=RUNTIME?threads=2&batch_size=8&precision=int8&accelerator=cpu`.

        Raises:
            UsageError: not of this form.
        """
        name, equals, rest = text.partition("=")
        runtime, _, query = rest.partition("?")
        if not name.strip() or (equals and not runtime.strip()):
            raise UsageError(
                f"device '{text}' is not of the form NAME or NAME=RUNTIME?threads=2&batch_size=8"
            )
        options: dict[str, Any] = {"name": name.strip()}
        if runtime:
            options["runtime"] = runtime.strip()
        for pair in filter(None, query.split("&")):
            key, _, value = pair.partition("=")
            known = [field for field in cls.model_fields if field not in _NOT_IN_TEXT]
            if key.strip() not in known:
                raise UsageError(
                    f"device '{text}' has no option '{key.strip()}'; known: {', '.join(known)}"
                )
            options[key.strip()] = value.strip()
        try:
            return cls(**options)
        except ValidationError as error:
            raise UsageError(f"device '{text}': {first_problem(error)}") from error


class Result(_Strict):
    """`result.json`: what training a trial gave."""

    metrics: dict[str, float]
    costs: dict[str, float]
    step: int | None
    elapsed: float


class Finalist(_Strict):
    """An entry of `finalists.json`: measured costs (value, std) and the verdict by them."""

    costs: dict[str, tuple[float, float]]
    violations: dict[str, float]
    reward: float


class Chosen(_Strict):
    """A trial of a search that is to be trained in full, as it was known when it was chosen."""

    number: int
    arch: dict[str, Any]
    metrics: dict[str, float]
    costs: dict[str, tuple[float, float]]
    reward: float
    violations: dict[str, float]
    step: int | None = None
    elapsed: float | None = None


class Parent(_Strict):
    """The search whose trials a train job trains in full (stage 2).

    `job` is where it is, `name` what it is called, `references` the speeds of the hosts that its
    latencies refer to, by device. `weights` says that the networks begin with those of the search,
    else with new ones. `after` is how many trials the search had completed when it chose
    last, where it does so itself (`TrainEvery`).
    """

    job: str
    name: str
    fingerprint: str
    code_hash: str
    chosen: tuple[Chosen, ...] = Field(min_length=1)
    references: dict[str, float] = Field(default_factory=dict)
    weights: bool = False
    after: int = 0


class TrainEvery(_Strict):
    """That a search trains its `top` best trials in full after `every` so many, `options` that the
    trainer then has, and the seconds after which a full training has failed."""

    every: int = Field(ge=1)
    top: int = Field(default=3, ge=1)
    options: dict[str, Any] = Field(default_factory=dict)
    trial_timeout: float | None = Field(default=None, gt=0)


class _Versioned(BaseModel):
    schema_version: int = 1


class JobSpec(_Strict):
    """The request of a job; written once, before the first trial.

    Of a search, or of the full training of some of its trials, which `parent` tells.
    """

    schema_version: Literal[2] = 2
    name: str
    created: str = Field(
        default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds")
    )
    space: SpaceInfo
    trainer: str | None
    trainer_options: dict[str, Any] = Field(default_factory=dict)
    task: str | None = None
    input_shape: tuple[int, ...] | None = None
    budget: str = ""
    reward: str = "hard"
    metric: str = "accuracy"
    metrics: tuple[str, ...] = ()
    """Further metrics that the trainer declares, for the budget."""
    costs: dict[str, str | None] = Field(default_factory=dict)
    """Costs of the user's own: name -> reference, None for an object that only the calling program
    can make."""
    objectives: tuple[Objective, ...]
    counting: Counting = Counting()
    strategy: str = "evolution"
    devices: tuple[DeviceSpec, ...] = (DeviceSpec(),)
    executor: str | None = "local"
    """What trains, see `make_executor`; None for an object that only the calling program has."""
    storage: str | None = None
    trials: int = Field(ge=1)
    parallel: int = Field(default=1, ge=1)
    max_failed: int = Field(ge=0)
    trial_timeout: float | None = Field(default=None, gt=0)
    retries: int = Field(default=0, ge=0)
    time_limit: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)
    parent: Parent | None = None
    train_every: TrainEvery | None = None
    versions: dict[str, str] = Field(
        default_factory=lambda: {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in _VERSIONS},
        }
    )

    @model_validator(mode="before")
    @classmethod
    def _older(cls, fields: Any) -> Any:
        """Version 1 had no executors. Before there was `counting` it said `count_bias`."""
        if not isinstance(fields, dict) or fields.get("schema_version") != 1:
            return fields
        kept = {name: value for name, value in fields.items() if name != "count_bias"}
        if isinstance(bias := fields.get("count_bias"), bool):
            kept = {"counting": {"bias": bias}, **kept}
        return {**kept, "schema_version": _SCHEMA}

    @property
    def kind(self) -> Literal["search", "train"]:
        """Whether archs are searched for, or those of a search are trained in full."""
        return "search" if self.parent is None else "train"

    def to_json(self) -> bytes:
        """As the content of `job.json`."""
        return self.model_dump_json(indent=2).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes, where: str) -> JobSpec:
        """Read and check the content of `job.json`.

        Raises:
            JobError: it is damaged, or was written by a newer hwnas.
        """
        try:
            version = _Versioned.model_validate_json(data).schema_version
            if version > _SCHEMA:
                raise JobError(
                    f"{where} was written by a newer hwnas: its schema is {version}, this one "
                    f"({metadata.version('hwnas')}) reads up to {_SCHEMA}; upgrade hwnas"
                )
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise JobError(f"{where} cannot be read: {first_problem(error)}") from error
