"""Choices and FunctionSpace: what may be chosen, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from torch import nn

from hwnas.errors import ArchError, SpaceError
from hwnas.space import Choice, FunctionSpace, scope


def identity(arch: dict) -> nn.Module:
    return nn.Identity()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "no values"),
        ("abc", "must be a list"),
        ({1, 2}, "must be a list"),
        ([1, 1], "1 stands twice"),
        ([1, True], "True equals 1"),
        ([0.0, False], "False equals 0.0"),
        ([1, 1.0], "1.0 equals 1"),
        ([math.nan], "nan is not a finite number"),
        ([math.inf], "not a finite number"),
        ([[1, 2]], "of type list"),
        ([(3, 3)], "of type tuple"),
        ([None], "of type NoneType"),
        ([np.int64(3)], "of type int64"),
        ([nn.ReLU], "LayerChoice"),
    ],
)
def test_bad_values(values: object, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as error:
        Choice(values, label="width")
    assert "width" in str(error.value)
    assert "test_space_choice.py:" in str(error.value)


def test_one_value_and_a_range_are_fine() -> None:
    space = FunctionSpace({"a": [7], "b": range(3)}, identity)
    assert space.size() == 3
    assert space.default() == {"a": 7, "b": 0}


def test_bad_labels() -> None:
    for label in ("", 3):
        with pytest.raises(SpaceError, match="label is a text"):
            Choice([1, 2], label=label)
    with pytest.raises(SpaceError, match="has no label yet"):
        FunctionSpace([Choice([1, 2])], identity)
    with pytest.raises(SpaceError, match="two choices have the label 'a'"):
        FunctionSpace([Choice([1], label="a"), Choice([2], label="a")], identity)
    with pytest.raises(SpaceError, match="cannot be called 'b'"):
        FunctionSpace({"b": Choice([1, 2], label="a")}, identity)


def test_scopes_prefix_labels() -> None:
    with scope("stage1"), scope("block"):
        choice = Choice([1, 2], label="width")
    assert choice.label == "stage1/block/width"
    with pytest.raises(RuntimeError), scope("a"):
        raise RuntimeError
    assert Choice([1, 2], label="width").label == "width"


def test_conditions_in_a_function_space() -> None:
    kind = Choice(["small", "large"])
    layers = Choice([1, 2, 3], when=kind == "large")
    space = FunctionSpace(
        {"kind": kind, "layers": layers, "width": Choice([8, 16], when=layers > 2)}, identity
    )
    assert space.size() == 1 + 2 + 2
    assert list(space.enumerate()) == [
        {"kind": "small"},
        {"kind": "large", "layers": 1},
        {"kind": "large", "layers": 2},
        {"kind": "large", "layers": 3, "width": 8},
        {"kind": "large", "layers": 3, "width": 16},
    ]
    with pytest.raises(ArchError, match="no value for 'layers'"):
        space.validate({"kind": "large"})
    with pytest.raises(ArchError, match=r"'width' is not taken.*layers > 2"):
        space.validate({"kind": "large", "layers": 1, "width": 8})


def test_a_condition_on_another_space() -> None:
    other = Choice([1, 2], label="other")
    with pytest.raises(SpaceError, match="'a' needs 'other'"):
        FunctionSpace({"a": Choice([1, 2], when=other == 1)}, identity)


def test_a_wrong_label_gets_a_suggestion() -> None:
    space = FunctionSpace({"stage1.kernel": [3, 5]}, identity)
    with pytest.raises(ArchError, match=r"did you mean 'stage1\.kernel'"):
        space.validate({"stage1.kernal": 3})


def test_build_must_return_a_module() -> None:
    with pytest.raises(SpaceError, match=r"no nn\.Module"):
        FunctionSpace({"a": [1]}, lambda arch: 3).build({"a": 1})


def test_the_builder_gets_a_dict_of_its_own() -> None:
    def greedy(arch: dict) -> nn.Module:
        arch.clear()
        return nn.Identity()

    arch = {"a": 1}
    FunctionSpace({"a": [1, 2]}, greedy).build(arch)
    assert arch == {"a": 1}


def test_the_fingerprint_changes_with_the_space() -> None:
    flag = Choice([True, False], label="flag")
    variants = [
        {"a": [1, 2]},
        {"a": [2, 1]},
        {"a": [1.0, 2.0]},
        {"a": ["1", "2"]},
        {"a": [1, 2, 3]},
        {"b": [1, 2]},
        {"a": [1, 2], "flag": flag},
        {"a": Choice([1, 2], when=flag == True), "flag": flag},  # noqa: E712
        {"a": Choice([1, 2], when=flag == False), "flag": flag},  # noqa: E712
        {"a": [0, 1]},
        {"a": [False, True]},
    ]
    prints = {FunctionSpace(choices, identity).fingerprint for choices in variants}
    assert len(prints) == len(variants)


def test_the_fingerprint_is_this_one_for_ever() -> None:
    # Stored with every job: a change here makes old jobs unreadable.
    flag = Choice([True, False], label="flag")
    a = Choice([1, 2.5, "x"], when=flag == True)  # noqa: E712
    assert (
        FunctionSpace({"a": a, "flag": flag}, identity).fingerprint
        == "e02d5302d59f43cd26d6f2ec5b4c2613aa196bd26dac7d6d7afba272d4af7f0d"
    )
