"""`Counting.nni()` counts what NNI's FLOPs profiler counts, number by number.

`nni_figures.json` holds what NNI 3.0 says of the networks of `nni_networks.py`, one number for each
combination of its options; `record_nni.py` wrote it.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from nni_networks import DIFFERING, EQUAL
from torch import Tensor, nn

from hwnas.cost import Counting, cost_tables, static_costs
from hwnas.space import LayerChoice, ModelSpace

FIGURES: dict[str, list[int]] = json.loads(
    Path(__file__).with_name("nni_figures.json").read_text()
)["figures"]
OPTIONS = [Counting(1, *on) for on in itertools.product((False, True), repeat=3)]


@pytest.mark.parametrize("name", EQUAL)
def test_every_option_counts_what_nni_counts(name: str) -> None:
    make, shape = EQUAL[name]
    model = make()
    counts = [static_costs(model, shape, ["flops"], counting=o)["flops"] for o in OPTIONS]
    assert counts == FIGURES[name]


@pytest.mark.parametrize("name", DIFFERING)
def test_the_documented_differences(name: str) -> None:
    make, shape, beyond = DIFFERING[name]
    ours = static_costs(make(), shape, ["flops"], counting=Counting.nni())["flops"]
    assert ours - FIGURES[name][-1] == beyond


def test_tables_count_what_nni_counts() -> None:
    makers = {"residual": EQUAL["residual"][0], "functional": DIFFERING["functional activation"][0]}

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = LayerChoice(dict(makers), label="body")

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    space = ModelSpace(Net)
    for counting, figure in zip(OPTIONS, FIGURES["residual"], strict=True):
        flops = cost_tables(space, (1, 3, 16, 16), ["flops"], counting=counting)["flops"]
        assert flops({"body": "residual"}) == figure
