"""Measuring an exported network again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas._estimate import Estimate
from hwnas.errors import JobError
from hwnas.report._card_data import Card
from hwnas.report._exported import read_network

if TYPE_CHECKING:
    from hwnas.device import Model
    from hwnas.jobs import DeviceSpec


def remeasure(path: Path) -> dict[str, Any]:
    """Measure the network in an export folder in fresh processes; hold it against its budget.

    Latencies refer to the same host speed as those of the job. The answer, in JSON values, lists
    each measured constraint with its value, 95 % interval and whether it is kept.

    Raises:
        JobError: the folder is no export.
        DeviceError: the network cannot be measured.
    """
    from hwnas.budget import Budget
    from hwnas.jobs import measure_again, measured_keys

    card = Card.read(path)
    budget = Budget.parse(card.budget, metrics=card.declared) if card.budget else Budget()
    keys = measured_keys([c.key for c in budget if c.key not in card.declared], card.devices)
    costs = {name: Estimate(*pair) for name, pair in card.costs.items()}
    costs |= {name: Estimate(value) for name, value in card.metrics.items()}
    if keys:
        models = {d.name: [_model(path, card, d)] for d in keys.values()}
        costs |= measure_again(models, card.input_shape or (), keys, card.references)[0]
    rows = [
        {
            "constraint": str(constraint),
            "key": constraint.key,
            "unit": constraint.unit,
            "measured": constraint.key in keys,
            "value": costs[constraint.key].value,
            "interval": [costs[constraint.key].quantile(q) for q in (0.025, 0.975)],
            "limit": constraint.limit,
            "kept": constraint.violation(costs) <= 0,
        }
        for constraint in budget
    ]
    return {"feasible": all(row["kept"] for row in rows), "constraints": rows}


def _model(path: Path, card: Card, device: DeviceSpec) -> Model:
    if device.reads_onnx and device.batch_size == 1:
        return path / "model.onnx"
    model = read_network(path, card)
    if model is None:
        raise JobError(
            f"{path} was searched with a space that cannot be imported, so it can be measured only "
            "as ONNX with a batch of 1"
        )
    return model
