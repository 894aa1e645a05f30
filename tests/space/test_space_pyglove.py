"""Spaces written with PyGlove: every value it can make, and no other."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pyglove as pg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hwnas.errors import ArchError, SpaceError
from hwnas.space import from_pyglove


class Layer(pg.Object):
    kernel: int
    act: str = "relu"


class Holder(nn.Module):
    """Keeps what was materialised."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def text(value: Any) -> str:
    return pg.format(value, compact=True) if isinstance(value, pg.Symbolic) else repr(value)


HYPER_VALUES: dict[str, Any] = {
    "one_of": lambda: pg.one_of([3, 5, 7]),
    "dict": lambda: {"a": pg.one_of([1, 2]), "b": {"c": pg.one_of(["x", "y"]), "d": 3}},
    "list": lambda: [pg.one_of([1, 2]), 5, [pg.one_of([True, False])]],
    "object": lambda: Layer(pg.one_of([3, 5]), act=pg.one_of(["relu", "tanh"])),
    "conditional": lambda: pg.Dict(
        op=pg.one_of([Layer(1), Layer(pg.one_of([3, 5])), None]), n=pg.one_of([1, 2])
    ),
    "deep": lambda: [pg.one_of([0, pg.one_of([1, pg.one_of([2, 3])])])],
    "sorted distinct": lambda: {"a": pg.sublist_of(2, [1, 2, 3, 4])},
    "distinct": lambda: {"a": pg.sublist_of(2, ["a", "b", "c"], choices_sorted=False)},
    "sorted": lambda: {
        "a": pg.sublist_of(2, [1, 2, 3], choices_distinct=False, choices_sorted=True)
    },
    "free": lambda: {"a": pg.sublist_of(3, [1, 2], choices_distinct=False, choices_sorted=False)},
    "permutation": lambda: {"a": pg.permutate([1, 2, 3])},
    "sublist of choices": lambda: {
        "a": pg.sublist_of(2, [0, pg.one_of([1, 2]), Layer(pg.one_of([3, 5]))])
    },
    "ambiguous": lambda: {"a": pg.one_of([1, True, 1.0])},
    "constant": lambda: {"a": 1},
}


@pytest.mark.parametrize("name", HYPER_VALUES)
def test_every_value_once(name: str) -> None:
    value = HYPER_VALUES[name]()
    symbolic = pg.Dict(value) if isinstance(value, dict) else value
    symbolic = pg.List(symbolic) if isinstance(symbolic, list) else symbolic
    space = from_pyglove(value, Holder)
    made = [text(space.build(arch).value) for arch in space.enumerate()]
    expected = [text(v) for v in pg.iter(symbolic)] if name != "constant" else [text(symbolic)]
    assert sorted(made) == sorted(expected)
    assert space.size() == len(expected)


def test_labels_and_values() -> None:
    space = from_pyglove(
        {
            "kernel": pg.one_of([3, 5]),
            "layers": [pg.one_of([Layer(1), Layer(pg.one_of([3, 5]))])],
            "some": pg.sublist_of(2, ["a", "b", "c"]),
            "free": pg.sublist_of(2, ["a", "b"], choices_distinct=False),
        },
        Holder,
    )
    found = {d.label: (d.choices, str(d.condition)) for d in space.decisions}
    assert found["kernel"] == ((3, 5), "True")
    assert found["layers[0]"] == ((0, 1), "True")
    assert found["layers[0][=1/2].kernel"] == ((3, 5), "(layers[0] == 1)")
    assert found["some"][0][0] in ("0,1", "0,2")
    assert found["free[0]"] == (("a", "b"), "True")
    assert from_pyglove(pg.one_of([1, 2]), Holder).default() == {"value": 1}


def test_building_leaves_the_hyper_value_alone() -> None:
    value = pg.Dict(a=pg.one_of([1, 2]))
    space = from_pyglove(value, Holder)
    first = space.build({"a": 2}).value
    first.a = 99
    assert space.build({"a": 2}).value.a == 2
    assert isinstance(value.a, pg.hyper.OneOf)


def test_floats_and_too_many_orders_are_refused() -> None:
    with pytest.raises(SpaceError, match="'rate' is not a choice among listed values"):
        from_pyglove({"rate": pg.floatv(0.0, 1.0)}, Holder)
    with pytest.raises(SpaceError, match="'a' has more than 10000 orders"):
        from_pyglove({"a": pg.permutate(list(range(9)))}, Holder)


def test_the_code_of_the_builder_counts() -> None:
    def other(value: Any) -> nn.Module:
        return nn.Sequential(Holder(value))

    value = pg.Dict(a=pg.one_of([1, 2]))
    one, two = from_pyglove(value, Holder), from_pyglove(value, other)
    assert one.fingerprint == two.fingerprint
    assert one.code_hash != two.code_hash


def test_without_pyglove_the_extra_is_named() -> None:
    script = (
        "import sys; sys.modules['pyglove'] = None\n"
        "from hwnas.errors import SpaceError\n"
        "from hwnas.space import from_pyglove\n"
        "try: from_pyglove({}, print)\n"
        "except SpaceError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "pip install 'hwnas[pyglove]'" in done.stdout


@pytest.mark.parametrize("name", HYPER_VALUES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_archs_are_dna_and_back(name: str, seed: int) -> None:
    """As PyGlove itself reads and writes it, numbers as well as the texts of a dict."""
    value = HYPER_VALUES[name]()
    space = from_pyglove(value, Holder)
    arch = space.sample(np.random.default_rng(seed))
    dna = space.dna(arch)
    assert space.arch(dna) == arch
    told = json.loads(json.dumps(dna.to_dict(value_type="choice_and_literal")))
    assert space.arch(told) == arch
    symbolic = pg.from_json(pg.to_json(space.value))
    assert text(pg.materialize(symbolic, told)) == text(space.build(arch).value)
    drawn = pg.random_dna(pg.dna_spec(symbolic), random.Random(seed))
    assert space.dna(space.arch(drawn)).to_numbers() == drawn.to_numbers()


def test_dna_of_another_space_is_refused() -> None:
    space = from_pyglove({"a": pg.one_of([1, 2]), "b": pg.permutate([1, 2])}, Holder)
    right = {"a": "0/2 (1)", "b[0]": "1/2", "b[1]": "0/2"}
    assert space.arch(right) == {"a": 1, "b": "1,0"}
    wrong: list[Any] = [{}, {"a": None}, pg.DNA([0]), {**right, "b[0]": "0/2"}]
    wrong += [{**right, "a": choice} for choice in ("0/3 (1)", "0/2 (7)", "x", "-1/2", [1], None)]
    wrong += [{**right, "c": "0/1"}]
    for dna in wrong:
        with pytest.raises(ArchError, match="no arch of this space"):
            space.arch(dna)
