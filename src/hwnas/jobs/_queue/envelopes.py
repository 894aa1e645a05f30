"""What goes through the queue: a request, and its result."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hwnas.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def checked_name(what: str, name: str) -> str:
    """A name of a device or a worker, which becomes a part of object names.

    Raises:
        UsageError: it holds something else than letters, digits and `. _ -`.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{what} '{name}' may have letters, digits and . _ - only")
    return name


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    created: str = Field(default_factory=_now)


class FileRef(BaseModel):
    """An object with what it must hold. Objects are named after their content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @property
    def object(self) -> str:
        """Its name in the queue."""
        return f"files/{self.sha256}"


class Request(_Envelope):
    """`requests/<id>`: a model to measure.

    `inputs` is a safetensors file with the tensors `0`, `1`, ... `trial` numbers what is measured,
    for workers that divide trials among them. `parts` as in `hwnas.device.Device.measure_each`.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    trial: int = Field(default=0, ge=0)
    model: FileRef
    inputs: FileRef
    timing: dict[str, Any] | None = None
    parts: bool = False


class Answer(_Envelope):
    """`results/<id>/<generation>`: what a worker found.

    `measurement` is there where the evaluator measured as a `hwnas.device.Device` does; `metrics`
    always, if `status` is `ok`. `kind` is that of a `ModelFault`.
    """

    id: str
    generation: int = Field(ge=1)
    worker: str
    status: Literal["ok", "failed", "infeasible"]
    error: str | None = None
    kind: str = "failure"
    metrics: dict[str, float] = Field(default_factory=dict)
    measurement: dict[str, Any] | None = None
    environment: dict[str, Any] = Field(default_factory=dict)
    elapsed: float = Field(default=0.0, ge=0)


class Calibrated(_Envelope):
    """`calibrations/<worker>`: what a worker tells of the calibration network."""

    worker: str
    latency: float = Field(gt=0, allow_inf_nan=False)
