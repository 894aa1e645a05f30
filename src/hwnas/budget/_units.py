"""The units that limits are written in, and how people read numbers.

A number inside hwnas is always in its metric's canonical unit: latency ms, energy mJ, power mW,
memory bytes, throughput items/s, and plain counts for `macs`, `flops` and `params`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from types import MappingProxyType

from hwnas.cost import METRICS

EXACT = Context(prec=80, traps=[])
"""Decimal arithmetic, exact for a float times or divided by any unit's size; never raises."""


@dataclass(frozen=True)
class Quantity:
    """What is measured, and the units it can be written in.

    `units` maps a unit to its size in the canonical unit (the one of size 1). `shown` lists
    (from this canonical value on, this unit) in rising order, for printing. A quantity with the
    unit "" may be written as a bare number.
    """

    name: str
    units: Mapping[str, Decimal]
    shown: tuple[tuple[float, str], ...]

    @property
    def unit_names(self) -> list[str]:
        """The units as one types them: plain ASCII, small to large within a system."""
        return [unit for unit in self.units if unit and unit.isascii()]


def _quantity(name: str, units: Mapping[str, str], shown: Mapping[str, float]) -> Quantity:
    sizes = {unit: Decimal(size) for unit, size in units.items()}
    return Quantity(
        name, MappingProxyType(sizes), tuple((value, unit) for unit, value in shown.items())
    )


_MICRO = ("us", "\N{MICRO SIGN}s", "\N{GREEK SMALL LETTER MU}s")

_COUNTS = {"": "1", "k": "1e3", "M": "1e6", "G": "1e9"}
_PLAIN = _quantity("plain number", _COUNTS, {"": 0})
_QUANTITIES: Mapping[str, Quantity] = {
    "time": _quantity(
        "time",
        {"ns": "1e-6", **dict.fromkeys(_MICRO, "1e-3"), "ms": "1", "s": "1000"},
        {"ns": 0, "us": 1e-3, "ms": 1, "s": 1e4},
    ),
    "memory": _quantity(
        "memory",
        {"B": "1", "kB": "1e3", "MB": "1e6", "GB": "1e9"}
        | {"KiB": str(2**10), "MiB": str(2**20), "GiB": str(2**30)},
        {"B": 0, "kB": 1e3, "MB": 1e6, "GB": 1e9},
    ),
    "count": _quantity("count", _COUNTS, {"": 0, "k": 1e3, "M": 1e5, "G": 1e9}),
    "energy": _quantity("energy", {"mJ": "1", "J": "1000"}, {"mJ": 0, "J": 1e4}),
    "power": _quantity("power", {"mW": "1", "W": "1000"}, {"mW": 0, "W": 1e4}),
    "rate": _quantity("rate", {"items/s": "1"}, {"items/s": 0}),
}
"""By the kind that `hwnas.cost.METRICS` gives a metric."""


def quantity_of(key: str) -> Quantity:
    """What a cost's key (`latency@pixel6`, `macs`) counts; names of one's own are plain numbers."""
    metric = METRICS.get(key.partition("@")[0])
    return _PLAIN if metric is None else _QUANTITIES[metric.kind]


def unit_size(key: str, unit: str) -> float:
    """The size of `unit` in the canonical unit of the metric `key`: 0.001 for `us` of a latency."""
    return float(quantity_of(key).units[unit])


def unit_for(key: str, values: Iterable[float]) -> str:
    """The unit in which a column of `values` (canonical unit) of the metric `key` reads best.

    It suits the median, so that the numbers of one column can be compared at a glance.
    """
    ordered = sorted(abs(value) for value in values)
    middle = ordered[len(ordered) // 2] if ordered else 0.0
    shown = quantity_of(key).shown
    return [unit for start, unit in shown if middle >= start][-1]


def format_value(key: str, value: float, unit: str | None = None, *, signs: int = 3) -> str:
    """`value` (canonical unit) of the metric `key` for people: `0.78 M`, `1.2 ms`, `350 items/s`.

    `unit` is one of the metric's units; left out, it is the one that suits the value. `signs` is
    the number of significant digits; digits before the decimal point are never dropped.
    """
    if unit is None:
        unit = unit_for(key, [value])
    return f"{format_number(value / unit_size(key, unit), signs)} {unit}".rstrip()


def format_number(value: float, signs: int = 3) -> str:
    """`value` with `signs` significant digits, without an exponent where one is not needed."""
    if abs(value) >= 10**signs - 0.5:
        return f"{value:.0f}" if abs(value) < 1e15 else f"{value:.{signs}g}"
    return f"{value:.{signs}g}"
