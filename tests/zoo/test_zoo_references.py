"""Known networks are archs of the zoo's spaces and cost what was published."""

from __future__ import annotations

import pytest
from zoo_references import REFERENCES

from hwnas.cost import static_costs


@pytest.mark.parametrize("name", REFERENCES)
def test_costs_are_the_published_ones(name: str) -> None:
    reference = REFERENCES[name]
    model = reference.space().build(reference.arch())
    published = {"params": reference.params}
    if reference.macs is not None:
        published["macs"] = reference.macs
    costs = static_costs(model, reference.inputs, published)
    for metric, (figure, tolerance) in published.items():
        assert costs[metric] == pytest.approx(figure, rel=tolerance, abs=0), reference.source
