"""The operators of all networks of a space are those of each network that is built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hwnas import zoo
from hwnas.cost import Operator, OperatorTables, operators_of, static_costs
from hwnas.errors import ArchError, CostError
from hwnas.space import Choice, FunctionSpace, LayerChoice, ModelSpace
from hwnas.space import nn as snn

TOKENS = [torch.zeros(1, 5, dtype=torch.long), torch.zeros(1, 7, dtype=torch.long)]
SPACES: dict[str, tuple[ModelSpace, Any]] = {
    "digits_cnn": (zoo.digits_cnn((1, 8, 8)), (1, 1, 8, 8)),
    "proxylessnas": (zoo.proxylessnas((3, 64, 64)), (2, 3, 64, 64)),
    "darts": (zoo.darts((3, 32, 32)), (1, 3, 32, 32)),
    "autoformer": (zoo.autoformer((3, 64, 64)), (1, 3, 64, 64)),
    "nasbench201": (zoo.nasbench201(), (1, 3, 32, 32)),
    "hat": (zoo.hat(vocabulary=50), TOKENS),
}


@pytest.mark.parametrize("name", SPACES)
def test_tables_hold_what_each_network_runs(name: str) -> None:
    space, inputs = SPACES[name]
    tables = OperatorTables(space, inputs)
    rng = np.random.default_rng(0)
    # Random whole numbers tell bags of operators apart, and their sums are exact.
    marks = rng.integers(1, 1 << 20, (len(tables.operators), 2)).astype(np.float64)
    marks[:, 0] = [operator.macs for operator in tables.operators]
    mark_of = dict(zip(tables.operators, marks, strict=True))
    archs = [space.sample(rng) for _ in range(2)]
    found = tables.sums(marks).evaluate(space.encode(archs))
    for arch, row in zip(archs, found, strict=True):
        with torch.device("meta"):
            model = space.build(arch)
        counts = operators_of(model, inputs)
        assert set(counts) <= set(mark_of)
        np.testing.assert_array_equal(row, sum(mark_of[one] * n for one, n in counts.items()))
        assert row[0] == static_costs(model, inputs, ["macs"])["macs"]


def test_an_operator_tells_shapes_and_settings() -> None:
    model = nn.Sequential(nn.Conv2d(4, 8, 3, 2, groups=2), nn.ReLU(), nn.Flatten())
    counts = operators_of(model, (1, 4, 9, 9))
    settings = (2, 2, 0, 0, 1, 1, False, 0, 0, 2)
    convolution = Operator(
        "convolution", ((1, 4, 9, 9), (8, 2, 3, 3), (8,)), settings, ((1, 8, 4, 4),), 2304, False
    )
    relu = Operator("relu", ((1, 8, 4, 4),), (), ((1, 8, 4, 4),), 0, True)
    assert counts == {convolution: 1, relu: 1}  # A view is nothing.


def test_equal_operators_are_counted_together_and_other_places_apart() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = Choice([4, 8], label="width")
            self.stem = snn.Linear(4, width)
            self.body = LayerChoice({"none": nn.Identity, "act": nn.ReLU}, label="body")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.body(self.stem(x))
            return torch.relu(y) + torch.relu(y)

    space = ModelSpace(Net)
    tables = OperatorTables(space, (3, 4))
    assert sorted((one.name, one.made[0]) for one in tables.operators) == sorted(
        (name, (3, width)) for name in ("add", "linear", "relu") for width in (4, 8)
    )
    relus = np.array([[one.name == "relu"] for one in tables.operators], np.float64)
    archs = [{"width": 8, "body": "none"}, {"width": 4, "body": "act"}]
    assert tables.sums(relus).evaluate(space.encode(archs)).tolist() == [[2], [3]]
    with pytest.raises(ArchError):
        tables.sums(relus).evaluate(np.array([[0.0, 5.0]]))


def test_a_space_without_a_template_has_no_tables() -> None:
    space = FunctionSpace([Choice([1, 2], label="n")], lambda arch: nn.Linear(2, arch["n"]))
    with pytest.raises(CostError, match="no template"):
        OperatorTables(space, (1, 2))
    with pytest.raises(CostError, match="the forward fails"):
        operators_of(nn.Linear(2, 2), (1, 3))
