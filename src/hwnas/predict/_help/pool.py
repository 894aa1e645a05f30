"""Source devices as meta-training sees them: encoded archs, scores, hardware embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.errors import PredictError
from hwnas.predict._help.encodings import Encoding
from hwnas.predict._help.meta import Tasks
from hwnas.predict._sources import SourceTable, arch_key
from hwnas.space import Arch

TRIM = 0.1
"""The share of each device's archs that is left out at either end of its latencies."""


SPAN = 0.9
"""The part of [0, 1] that scores of the middle of the latencies fill."""


def scaled(
    latencies: NDArray[np.float64], low: float, high: float, span: float = SPAN
) -> NDArray[np.float32]:
    """Latencies on a line that maps [low, high] to the middle `span` of [0, 1]; 0.5 if equal."""
    if high <= low:
        return np.full(len(latencies), 0.5, np.float32)
    return ((latencies - low) / (high - low) * span + (1 - span) / 2).astype(np.float32)


def embedding(latencies: NDArray[np.float64]) -> NDArray[np.float32]:
    """The hardware embedding: the latencies of the reference archs, scaled to [0, 1]."""
    return scaled(latencies, latencies.min(), latencies.max(), span=1.0)


@dataclass(frozen=True)
class DevicePool:
    """One device's part of the pool.

    Attributes:
        rows: archs that may be drawn: measured, without the fastest and slowest tenth.
        scores: of all archs, scaled by the range of `rows`; (n,) float32.
        embedding: (references,) float32, if there are references.
    """

    rows: Tensor
    scores: Tensor
    embedding: Tensor | None


class Pool:
    """The source devices, with the drawing of tasks.

    Raises:
        PredictError: a reference arch is not in the table or was not measured by a device, or a
            device has too few archs for a task.
    """

    def __init__(
        self,
        sources: SourceTable,
        encoding: Encoding,
        references: Sequence[Arch],
        samples: int,
        device: torch.device,
    ) -> None:
        self._samples = samples
        archs = encoding(sources.archs)
        # Nodes before archs, for graphs: (9, n, features).
        self._archs = (archs.transpose(0, 1).contiguous() if archs.dim() == 3 else archs).to(device)
        self._device = device
        places = _places(sources, references)
        self.devices: dict[str, DevicePool] = {}
        for name, latencies in sources.latencies.items():
            for place in places:
                if np.isnan(latencies[place]):
                    raise PredictError(
                        f"device '{name}' did not measure the reference arch of row {place}"
                    )
            rows = np.flatnonzero(~np.isnan(latencies))
            rows = rows[np.argsort(latencies[rows], kind="stable")]
            rows = rows[int(len(rows) * TRIM) : int(len(rows) * (1 - TRIM))]
            if len(rows) <= samples:
                raise PredictError(
                    f"device '{name}' has {len(rows)} archs within the middle "
                    f"{1 - 2 * TRIM:.0%} of its latencies; an episode needs more than {samples}"
                )
            low, high = float(latencies[rows].min()), float(latencies[rows].max())
            self.devices[name] = DevicePool(
                torch.from_numpy(rows),
                torch.from_numpy(scaled(latencies, low, high)),
                torch.from_numpy(embedding(latencies[places])) if places else None,
            )

    def content(self) -> Iterator[Tensor]:
        """All numbers that tasks are made of, in a fixed order."""
        yield self._archs
        for pool in self.devices.values():
            yield pool.rows
            yield pool.scores
            if pool.embedding is not None:
                yield pool.embedding

    def draw(
        self, names: Sequence[str], queries: int, generator: torch.Generator
    ) -> tuple[Tasks, Tasks]:
        """Samples to adapt to and other archs to be judged by, of each device."""
        size = self._samples + min(
            queries, *(len(self.devices[name].rows) - self._samples for name in names)
        )
        drawn = []
        for name in names:
            rows = self.devices[name].rows
            drawn.append(rows[torch.randperm(len(rows), generator=generator)[:size]])
        chosen = torch.stack(drawn)
        return (
            self._tasks(names, chosen[:, : self._samples]),
            self._tasks(names, chosen[:, self._samples :]),
        )

    def _tasks(self, names: Sequence[str], rows: Tensor) -> Tasks:
        pools = [self.devices[name] for name in names]
        scores = torch.stack([pool.scores[own] for pool, own in zip(pools, rows, strict=True)]).to(
            self._device
        )
        embeddings = [pool.embedding for pool in pools if pool.embedding is not None]
        stacked = torch.stack(embeddings).to(self._device) if embeddings else None
        rows = rows.to(self._device)
        if self._archs.dim() == 3:
            return Tasks(self._archs[:, rows].transpose(0, 1).contiguous(), scores, stacked)
        return Tasks(self._archs[rows], scores, stacked)


def _places(sources: SourceTable, references: Sequence[Arch]) -> list[int]:
    keys = {arch_key(arch): row for row, arch in enumerate(sources.archs)}
    missing = [arch for arch in references if arch_key(arch) not in keys]
    if missing:
        raise PredictError(
            f"{len(missing)} of {len(references)} reference archs are not in the table of sources; "
            f"the first is {missing[0]}"
        )
    return [keys[arch_key(arch)] for arch in references]
