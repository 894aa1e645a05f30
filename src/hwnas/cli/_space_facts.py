"""The facts that `hwnas space` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.cli._shape import parse_shape

if TYPE_CHECKING:
    from hwnas.cost import Counting

_FEW = 300


def space_facts(
    reference: str,
    task_spec: str | None,
    shape_text: str | None,
    seed: int,
    counting: Counting,
) -> dict[str, Any]:
    """Size, decisions, a sample and the costs' ranges, as JSON values."""
    from hwnas.cost import flops_meaning, static_costs
    from hwnas.tasks import task_from_spec
    from hwnas.zoo import load_space

    task = task_from_spec(task_spec) if task_spec else None
    shape = parse_shape(shape_text) if shape_text else tuple(task.input_shape) if task else None
    space = load_space(reference, shape, task.num_classes if task else None)
    rng = np.random.default_rng(seed)
    sample = space.sample(rng)
    size = space.size()
    if size <= _FEW:
        archs, over = list(space.enumerate()), f"all {size} archs"
    else:
        archs = [space.sample(rng) for _ in range(_FEW)]
        over = f"{_FEW} random archs (each decision uniform)"
    costs: dict[str, tuple[float, float]] = {}
    if shape is not None:
        rows = [static_costs(space.build(arch), (1, *shape), counting=counting) for arch in archs]
        costs = {name: (min(r[name] for r in rows), max(r[name] for r in rows)) for name in rows[0]}
    return {
        "space": reference,
        "size": size,
        "fingerprint": space.fingerprint,
        "decisions": [
            {
                "label": d.label,
                "choices": list(d.choices),
                "condition": None if d.condition is True else str(d.condition),
            }
            for d in space.decisions
        ],
        "sample": sample,
        "costs": costs,
        "costs_over": over,
        "flops": flops_meaning(counting),
    }
