"""`card.md`: what an exported network is, what it costs, and how to load it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas import _files
from hwnas._estimate import Estimate
from hwnas.budget import Budget, Constraint, format_number, unit_for
from hwnas.cost import Counting, flops_meaning
from hwnas.report._text import estimate_text, interval_text, one_line, percent

_MARKUP = re.compile(r"([\\`*_\[\]<>|#~&!])")


def write_card(
    path: Path,
    *,
    job: str,
    trial: int,
    arch: Mapping[str, Any],
    space: str,
    fingerprint: str,
    metric: str,
    metrics: Mapping[str, float],
    test: Mapping[str, float],
    costs: Mapping[str, Estimate],
    budget: Budget,
    versions: Mapping[str, str],
    seed: int,
    task: str | None = None,
    input_shape: Sequence[int] | None = None,
    pixels: tuple[Sequence[float], Sequence[float]] | None = None,
    counting: Counting = Counting(),
) -> None:
    """Write the card of an exported network as Markdown.

    Args:
        path: The file to write.
        job: The job's name, and `trial` the number of its trial that is exported.
        arch: The decisions.
        space: The space's name, and `fingerprint` that of its decisions.
        metric: The name of the metric by which the network was chosen.
        metrics: What the trial reported, on the validation split.
        test: The same on the test split; empty where there is none.
        costs: In canonical units; those with a standard deviation get a 95 % interval.
        budget: Every constraint is listed with its margin. It may limit metrics, too.
        versions: Of the software that trained and measured.
        seed: The job's seed.
        task: The task's name, None for a trainer of one's own.
        input_shape: (C, H, W) of one input, None where no ONNX model was exported.
        pixels: The mean and the standard deviation of each channel that inputs are normalised by.
        counting: What `flops` counts.

    Raises:
        BudgetError: a cost that the budget limits is missing or no number.
    """
    limited: dict[str, float | Estimate] = {**metrics, **costs}
    sections = [
        f"# {_plain(job)}: trial {trial}",
        _summary(metric, metrics, test, budget, limited),
        "## Accuracy",
        _table(
            ("metric", "validation", "test"),
            [(name, _number(metrics, name), _number(test, name)) for name in {**metrics, **test}],
        ),
        _splits_note(test),
    ]
    if len(budget):
        sections += ["## Budget", _budget_table(budget, limited)]
    if costs:
        sections += [
            "## Costs",
            _table(("cost", "value", "95 % interval"), _cost_rows(costs, budget)),
            f"flops = {flops_meaning(counting)}" if "flops" in costs else "",
        ]
    sections += [
        "## Arch",
        _table(("decision", "choice"), [(name, one_line(choice)) for name, choice in arch.items()]),
        "## How to load it",
        _loading(input_shape),
        _normalising(pixels),
        "## Where it comes from",
        _table(
            ("", ""),
            [
                ("space", space),
                ("space fingerprint", fingerprint),
                ("task", task or "own trainer"),
                ("seed", str(seed)),
                *((f"{name} version", version) for name, version in versions.items()),
            ],
        ),
    ]
    _files.write_text(Path(path), "\n\n".join(filter(None, sections)) + "\n")


def _summary(
    metric: str,
    metrics: Mapping[str, float],
    test: Mapping[str, float],
    budget: Budget,
    costs: Mapping[str, float | Estimate],
) -> str:
    split, values = ("test", test) if metric in test else ("validation", metrics)
    parts = []
    if metric in values:
        parts.append(f"{_plain(metric)} {format_number(values[metric], 4)} on the {split} split")
    if len(budget):
        kept = budget.feasible(costs)
        parts.append("keeps its budget" if kept else "**does not keep its budget**")
    return f"This network: {', '.join(parts)}." if parts else ""


def _splits_note(test: Mapping[str, float]) -> str:
    if not test:
        return "The validation split chose this network; there is no figure on a test split."
    return "The validation split chose this network; the test split was read once, for this card."


def _budget_table(budget: Budget, costs: Mapping[str, float | Estimate]) -> str:
    rows = []
    for constraint in budget:
        violation = constraint.violation(costs)
        margin = f"{percent(abs(violation))} {'left' if violation <= 0 else 'beyond the limit'}"
        cost = costs[constraint.key]
        estimate = cost if isinstance(cost, Estimate) else Estimate(cost)
        value = estimate_text(constraint.key, estimate, constraint.unit)
        if estimate.std:
            value += f" ({_quantile(constraint)} {_bound(constraint, costs)})"
        rows.append((str(constraint), value, margin, "kept" if violation <= 0 else "violated"))
    return _table(("constraint", "cost", "margin", ""), rows)


def _quantile(constraint: Constraint) -> str:
    side = "upper" if constraint.op == "<=" else "lower"
    return f"{side} {format_number(100 * constraint.confidence, 4)} % bound"


def _bound(constraint: Constraint, costs: Mapping[str, float | Estimate]) -> str:
    return estimate_text(constraint.key, Estimate(constraint.bound(costs)), constraint.unit)


def _cost_rows(costs: Mapping[str, Estimate], budget: Budget) -> Iterable[tuple[str, str, str]]:
    units = {constraint.key: constraint.unit for constraint in budget}
    for key, cost in costs.items():
        unit = units.get(key, unit_for(key, [cost.value]))
        low, high = cost.quantile(0.025), cost.quantile(0.975)
        interval = interval_text(key, max(low, 0.0), high, unit) if cost.std else "-"
        yield key, estimate_text(key, Estimate(cost.value), unit), interval


def _loading(input_shape: Sequence[int] | None) -> str:
    text = """\
As a PyTorch module, in this folder:

```python
import json

from safetensors.torch import load_model

from hwnas.zoo import load_space

card = json.load(open("card.json"))
space = load_space(card["space"]["reference"], card["input_shape"], card["num_classes"])
model = space.build(card["arch"])
load_model(model, "model.safetensors")
model.eval()
```"""
    if input_shape is None:
        return text
    return f"""{text}

In ONNX Runtime, without PyTorch or hwnas:

```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
images = np.zeros({json.dumps([1, *input_shape])}, dtype=np.float32)
(logits,) = session.run(None, {{session.get_inputs()[0].name: images}})
```"""


def _normalising(pixels: tuple[Sequence[float], Sequence[float]] | None) -> str:
    if pixels is None:
        return ""
    means, stds = (", ".join(f"{value:.6g}" for value in values) for values in pixels)
    return (
        f"Inputs are `(pixels - mean) / std`, by channel: mean {means}; std {stds}, in the units "
        "of the stored pixels."
    )


def _number(values: Mapping[str, float], name: str) -> str:
    return format_number(values[name], 4) if name in values else "-"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plain(text: object) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKUP.sub(r"\\\1", one_line(text))
