"""LatencyTable: latencies of blocks that somebody measured, and the cost they add up to."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hwnas._estimate import Estimate
from hwnas.cost._tables.table import CostTable
from hwnas.errors import CostError, DataError

if TYPE_CHECKING:
    from hwnas.space import Arch, SearchSpace


@dataclass(frozen=True)
class Block:
    """A part of the network that was measured as a whole.

    Attributes:
        labels: the decisions that say which entry of the table it is.
        key: the entry's name, of those of these decisions that are taken; None where the block is
            not there.
    """

    labels: Sequence[str]
    key: Callable[[Arch], str | None]


class LatencyTable(Mapping[str, Estimate]):
    """Latencies of blocks in milliseconds, by the block's name.

    Args:
        entries: name -> latency; the standard deviation is that of one run of the block.
        source: where they come from, for messages.
    """

    def __init__(self, entries: Mapping[str, Estimate], source: str = "the table") -> None:
        self._entries = dict(entries)
        self.source = source

    @classmethod
    def read(cls, path: Path | str) -> LatencyTable:
        """Read `.csv`, `.json`, `.yaml` or `.yml`.

        JSON and YAML hold name -> milliseconds, or name -> {`mean`, and optionally `std` or
        `var`}, as in the tables that Once-for-All and ProxylessNAS published. CSV has a header
        with `block`, `mean` and optionally `std`. Other fields are passed over.

        Raises:
            DataError: the file cannot be read, an entry stands twice in a CSV file, or a latency
                is no finite number from 0 up.
        """
        path = Path(path)
        try:
            raw = dict(_entries(path, path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError, csv.Error) as error:
            raise DataError(f"{path}: no table of latencies: {_line(error)}") from error
        return cls({name: _estimate(path, name, value) for name, value in raw.items()}, str(path))

    def __getitem__(self, name: str) -> Estimate:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def cost(self, space: SearchSpace, blocks: Sequence[Block], name: str = "latency") -> CostTable:
        """The sum of the latencies of an arch's blocks.

        Raises:
            CostError: a block's decision is not in the space, or an arch has a block that is not
                in the table; the message names it.
        """

        def part(block: Block) -> Callable[[Arch], float]:
            def value(arch: Arch) -> float:
                key = block.key(arch)
                if key is None:
                    return 0.0
                if key not in self._entries:
                    raise CostError(f"{self.source} has no block '{key}'")
                return self._entries[key].value

            return value

        return CostTable.of(name, space, [(block.labels, part(block)) for block in blocks])


def _entries(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    if path.suffix == ".csv":
        seen = set()
        for row in csv.DictReader(text.splitlines()):
            if not row.get("block") or row.get("mean") is None:
                raise ValueError("the header must name the columns block and mean")
            if row["block"] in seen:
                raise ValueError(f"block '{row['block']}' stands twice")
            seen.add(row["block"])
            yield row["block"], row
        return
    if path.suffix not in (".json", ".yaml", ".yml"):
        raise ValueError(f"'{path.suffix}' is not .csv, .json or .yaml")
    content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    if not isinstance(content, dict):
        raise ValueError("it must map block names to latencies")
    for name, value in content.items():
        yield str(name), value


def _estimate(path: Path, name: str, value: Any) -> Estimate:
    fields = value if isinstance(value, dict) else {"mean": value}
    try:
        mean = float(fields["mean"])
        spread = fields.get("std")
        std = math.sqrt(float(fields.get("var") or 0)) if spread in (None, "") else float(spread)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: '{name}' has no latency: {value!r}") from error
    if not (math.isfinite(mean) and mean >= 0 and math.isfinite(std) and std >= 0):
        raise DataError(f"{path}: the latency of '{name}' is {mean} +- {std} ms")
    return Estimate(mean, std)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
