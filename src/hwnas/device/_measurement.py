"""What a device returns: a number that says how it was taken and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, fields, replace
from statistics import NormalDist
from typing import Any, ClassVar

from hwnas._estimate import Estimate
from hwnas.device._timing.stats import drifted
from hwnas.errors import DeviceError


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of the samples, in the measurement's unit."""

    p10: float
    p90: float
    p99: float


@dataclass(frozen=True)
class TrimmedMean:
    """The mean of the samples without the share `outlier`, half of it at each end of them.

    `value` and its standard error `std` are in the measurement's unit.
    """

    outlier: float
    value: float
    std: float


@dataclass(frozen=True)
class Canary:
    """The host's speed: a fixed small network, timed between the models.

    `median` is its latency (ms) during this measurement, `reference` the latency that values were
    normalised to: the first one of the device object, or the one it was given.
    """

    median: float
    reference: float

    @property
    def drift(self) -> float:
        """How much slower (positive) or faster the host was than at the reference, as a ratio."""
        return self.median / self.reference - 1


@dataclass(frozen=True)
class Environment:
    """The conditions of a measurement; None where the platform does not tell."""

    platform: str
    python: str
    cpu: str
    cores: int
    accelerator: str  # "cpu", or the name of the GPU that ran the model
    runtime: str
    runtime_version: str
    torch_version: str | None
    threads: int
    batch_size: int
    precision: str
    clock: str  # "wall", "cpu" (time of the one thread) or "cuda events"
    load: float | None = None  # 1-minute load average when the measurement ended
    nice: int | None = None
    affinity: tuple[int, ...] | None = None  # CPUs that the worker may use
    involuntary_switches: int | None = None  # while timing
    minor_faults: int | None = None  # while timing
    major_faults: int | None = None
    cpu_share: float | None = None  # CPU time over wall time, per thread, while timing
    cpu_mhz: float | None = None  # of the CPUs that the worker may use, when the measurement ended
    celsius: float | None = None  # the hottest sensor of the host, at the same time

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Environment:
        """From plain JSON values; TypeError for fields that are missing or unknown."""
        affinity = data.get("affinity")
        return cls(**{**data, "affinity": None if affinity is None else tuple(affinity)})


@dataclass(frozen=True)
class Measurement:
    """One cost of one model, taken on a device.

    `median` with its confidence interval [`low`, `high`] and the `samples` are normalised to the
    canary's reference speed where there is a canary; `raw_median` is as clocked. `n` counts the
    rounds, `processes` the measuring processes. `converged` is False if the time cap came before
    the interval was as narrow as asked. The interval is that of the long-run value over processes:
    what differs between them is in it, see `WorkerDevice.process_std`. The further the host's speed
    is from the reference, the wider; that comes on top of what `converged` looks at.
    A sample is the mean of a block of calls that lasts about a millisecond, so the percentiles of a
    network much shorter than that are those of such means.

    What loading and running took, None where the platform does not tell:

    - `cold_start_ms`: from the deployed form (an ONNX file, an ExecuTorch program, a module's
      weights in memory) to the first output, with the runtime's library in memory already; as
      clocked, once. Exporting does not count; what `torch.compile` compiles does.
    - `size_bytes`: of that form on disk; of the weights where it is a module.
    - `peak_memory_bytes`: by which memory rose, at its highest, from before loading to the end of
      the first call: the resident set of the process, or what PyTorch's allocator gave out on a
      GPU. Weights, activations and what the runtime needs for itself.
    - `energy_mj`: of one call, where it was asked for and the host or the GPU has a meter: of the
      processor packages (RAPL) or the GPU (NVML), with all else that ran there; never an estimate.

    `trimmed` is there if the timing asked for one.

    Raises:
        DeviceError: a number is not finite and positive, or lies outside its interval.
    """

    SCHEMA: ClassVar[int] = 1

    device: str
    metric: str
    unit: str
    median: float
    low: float
    high: float
    confidence: float
    n: int
    samples: Percentiles
    raw_median: float
    canary: Canary | None
    converged: bool
    warnings: tuple[str, ...]
    environment: Environment
    cold_start_ms: float | None = None
    size_bytes: int | None = None
    peak_memory_bytes: int | None = None
    energy_mj: float | None = None
    trimmed: TrimmedMean | None = None
    processes: int = 1

    def __post_init__(self) -> None:
        canary = () if self.canary is None else (self.canary.median, self.canary.reference)
        mean = () if self.trimmed is None else (self.trimmed.value,)
        for number in (self.median, self.low, self.high, self.raw_median, *canary, *mean):
            if not (math.isfinite(number) and number > 0):
                raise DeviceError(f"{self.metric} on '{self.device}' came out as {number}")
        if not self.low <= self.median <= self.high:
            raise DeviceError(
                f"{self.metric} on '{self.device}': the median {self.median} lies outside its "
                f"interval {self.low} to {self.high}"
            )
        for name in ("cold_start_ms", "size_bytes", "peak_memory_bytes", "energy_mj"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise DeviceError(f"{name} on '{self.device}' came out as {value}")
        if not 0 < self.confidence < 1:
            raise DeviceError(f"confidence must lie between 0 and 1, not {self.confidence}")

    @property
    def estimate(self) -> Estimate:
        """The median, with the standard deviation that its interval implies (normal)."""
        z = NormalDist().inv_cdf((1 + self.confidence) / 2)
        return Estimate(self.median, (self.high - self.low) / (2 * z))

    def at(self, reference: float) -> Measurement:
        """The same at another reference speed of the canary (ms); unchanged without a canary."""
        if self.canary is None or self.canary.reference == reference:
            return self
        factor = reference / self.canary.reference
        canary, mean = replace(self.canary, reference=reference), self.trimmed
        median, low, high = drifted(
            (self.median, self.low, self.high),
            self.confidence,
            before=1 + self.canary.drift,
            after=1 + canary.drift,
        )
        return replace(
            self,
            median=median * factor,
            low=low * factor,
            high=high * factor,
            samples=Percentiles(*(factor * value for value in astuple(self.samples))),
            canary=canary,
            trimmed=mean and replace(mean, value=mean.value * factor, std=mean.std * factor),
        )

    @property
    def p50(self) -> float:
        """The median, by the name that stands beside `samples.p90` and `samples.p99`."""
        return self.median

    @property
    def throughput(self) -> float:
        """Items per second, one batch after the other, of a latency in ms."""
        if self.metric != "latency":
            raise DeviceError(f"there is no throughput in a measurement of {self.metric}")
        return 1e3 * self.environment.batch_size / self.median

    @property
    def contended(self) -> bool:
        """Whether others took the CPU meanwhile: such a number should be taken again."""
        return any(text.startswith("contention") for text in self.warnings)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the number of the schema."""
        data = {"schema": self.SCHEMA, **asdict(self)}
        if self.processes == 1:  # earlier versions know of no others
            del data["processes"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Measurement:
        """The inverse of `to_dict`.

        Raises:
            DeviceError: another schema, or fields that are missing, unknown or malformed.
        """
        values = dict(data)
        if (schema := values.pop("schema", None)) != cls.SCHEMA:
            raise DeviceError(
                f"a measurement of schema {schema!r} cannot be read; this version reads "
                f"schema {cls.SCHEMA}"
            )
        try:
            canary = values["canary"]
            trimmed = values.get("trimmed")
            return cls(
                **{
                    **values,
                    "samples": Percentiles(**values["samples"]),
                    "canary": None if canary is None else Canary(**canary),
                    "trimmed": None if trimmed is None else TrimmedMean(**trimmed),
                    "warnings": tuple(values["warnings"]),
                    "environment": Environment.from_dict(values["environment"]),
                }
            )
        except (KeyError, TypeError, AttributeError) as error:
            known = ", ".join(field.name for field in fields(cls))
            raise DeviceError(f"malformed measurement: {error}; its fields are {known}") from error
