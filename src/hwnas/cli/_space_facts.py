"""The facts that `hwnas space` prints."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.cli._feasibility import method_facts, nothing_facts
from hwnas.cli._subject import Subject, plain
from hwnas.errors import CostError, UsageError

if TYPE_CHECKING:
    from hwnas.cost import Cost, FilteredSet
    from hwnas.space import Arch, SearchSpace

_DRAWS, _WITHIN, _FEW = 20_000, 2000, 300
"""Random archs for the quantiles: of the space, within a budget, and of costs without tables."""
_QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Wanted:
    """What else was asked for: a random distribution, its seed, and a ranking."""

    distribution: Any
    seed: int
    k: int
    by: str | None


def space_facts(subject: Subject, wanted: Wanted) -> dict[str, Any]:
    """Size, decisions, a sample, costs, budget and ranking, as JSON values.

    Raises:
        HwnasError: the ranking is by an unknown cost; a cost cannot be told.
    """
    from hwnas.cost import FeasibleSet, FilteredSet

    space = subject.space
    by = wanted.by or _first(subject)
    if wanted.by is not None and by not in subject.costs:
        raise UsageError(f"no cost is named '{by}'; known: {', '.join(subject.costs)}")
    rng = np.random.default_rng(wanted.seed)
    drawn = FeasibleSet(space, []).draw_encoded(_DRAWS, rng, wanted.distribution)
    filtered = FilteredSet(space, subject.budget.filters(subject.costs))
    budget = _within(subject, filtered, drawn, wanted) if len(subject.budget) else None
    ranked = wanted.k and by is not None and (budget is None or budget["feasible"])
    return {
        "space": subject.reference,
        "size": space.size(),
        "fingerprint": space.fingerprint,
        "input_shape": subject.input_shape and list(subject.input_shape),
        "decisions": [
            {
                "label": d.label,
                "choices": list(d.choices),
                "condition": None if d.condition is True else str(d.condition),
            }
            for d in space.decisions
        ],
        "distribution": wanted.distribution,
        "sample": space.decode(drawn[:1])[0],
        "costs": {name: _range(cost, drawn) for name, cost in subject.costs.items()},
        "flops": subject.flops,
        "budget": budget,
        "ranking": _ranking(subject, filtered, by, wanted) if ranked and by else None,
    }


def _first(subject: Subject) -> str | None:
    """The cost to rank by: the first that is limited, else the first there is."""
    keys = [constraint.key for constraint in subject.budget]
    return next(iter([*keys, *subject.costs]), None)


def _values(cost: Cost, encoded: NDArray[np.float64]) -> NDArray[np.float64]:
    """The costs of archs, of few where there are no tables."""
    return cost.evaluate(encoded if _tabular(cost) else encoded[:_FEW])


def _tabular(cost: Cost) -> bool:
    from hwnas.cost import CostTable, MaxTable

    return isinstance(cost, CostTable | MaxTable)


def _quantiles(values: NDArray[np.float64]) -> dict[str, Any]:
    found = np.quantile(values, _QUANTILES, method="inverted_cdf").tolist()
    return {
        "quantiles": {str(q): plain(value) for q, value in zip(_QUANTILES, found, strict=True)},
        "draws": len(values),
    }


def _range(cost: Cost, drawn: NDArray[np.float64]) -> dict[str, Any]:
    """Smallest and largest cost (exact, or those of the draws), and quantiles."""
    from hwnas.cost import CostTable, MaxTable

    drawn_values = _values(cost, drawn)
    low, high, exact = float(drawn_values.min()), float(drawn_values.max()), False
    if isinstance(cost, CostTable | MaxTable):
        # Where decisions hang together too closely, the draws have to do.
        with suppress(CostError):
            low, high, exact = cost.minimum()[0], cost.maximum()[0], True
    elif (every := _every(cost.space)) is not None:
        values = cost.evaluate(every)
        low, high, exact = float(values.min()), float(values.max()), True
    return {"min": plain(low), "max": plain(high), "exact": exact, **_quantiles(drawn_values)}


def _within(
    subject: Subject, filtered: FilteredSet, drawn: NDArray[np.float64], wanted: Wanted
) -> dict[str, Any]:
    """How many archs keep the budget, how they are found, and what they cost."""
    rng = np.random.default_rng([wanted.seed, 1])
    text = str(subject.budget)
    n = _FEW if filtered.asked else _WITHIN
    try:
        rows = filtered.draw_encoded(n, rng, wanted.distribution)
    except CostError:
        return {"text": text, **nothing_facts(subject, filtered)}
    count = None
    if (every := _every(filtered.space)) is not None:
        kept = int(filtered.keeps(every).sum())
        count = {"lower": kept, "upper": kept}
    elif not filtered.asked and filtered.feasible.method == "dynamic program":
        found = filtered.feasible.count()
        count = {"lower": found.lower, "upper": found.upper}
    some = drawn[:_FEW] if filtered.asked else drawn
    return {
        "text": text,
        "feasible": True,
        "count": count,
        "share": float(filtered.keeps(some).mean()),
        **method_facts(filtered),
        "costs": {name: _quantiles(_values(c, rows)) for name, c in subject.costs.items()},
    }


def _ranking(subject: Subject, filtered: FilteredSet, by: str, wanted: Wanted) -> dict[str, Any]:
    """The archs with the lowest and highest cost: exact, or of some draws."""
    ends = {"lowest": False, "highest": True}
    return {
        "by": by,
        **{name: _end(subject.costs[by], filtered, high, wanted) for name, high in ends.items()},
    }


def _end(cost: Cost, filtered: FilteredSet, highest: bool, wanted: Wanted) -> dict[str, Any]:
    reason = None
    if (every := _every(filtered.space)) is not None:
        archs = _sorted(cost, every[filtered.keeps(every)], highest, wanted.k)
    else:
        try:
            if filtered.asked:
                raise CostError(f"the cost '{filtered.asked[0].cost.name}' is not made of tables")
            archs = filtered.feasible.k_best(cost, wanted.k, highest=highest)  # type: ignore[arg-type]
        except CostError as error:
            reason = str(error)
            rng = np.random.default_rng([wanted.seed, 2])
            n = _WITHIN if _tabular(cost) and not filtered.asked else _FEW
            rows = np.unique(filtered.draw_encoded(n, rng, wanted.distribution), axis=0)
            archs = _sorted(cost, rows, highest, wanted.k)
    return {
        "exact": reason is None,
        "reason": reason,
        "archs": [{"cost": plain(value), "arch": arch} for value, arch in archs],
    }


def _sorted(
    cost: Cost, rows: NDArray[np.float64], highest: bool, k: int
) -> list[tuple[float, Arch]]:
    """The first k of some archs by a cost."""
    values = cost.evaluate(rows)
    order = np.argsort(-values if highest else values, kind="stable")[:k]
    return list(zip(values[order].tolist(), cost.space.decode(rows[order]), strict=True))


def _every(space: SearchSpace) -> NDArray[np.float64] | None:
    """All archs of a space that has few."""
    return space.encode(list(space.enumerate())) if space.size() <= _FEW else None
