"""Invariants over randomly generated conditional spaces."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from hwnas.errors import SpaceError
from hwnas.space import Choice, Expr, FunctionSpace

VALUES: list[list[Any]] = [[0], [1, 2], [1, 2, 3], ["a", "b"], [True, False], [0.5, 1.5, 2.5]]


def identity(arch: dict) -> nn.Module:
    return nn.Identity()


@st.composite
def choice_lists(draw: st.DrawFn) -> list[Choice]:
    """Up to eight choices, some under conditions on one or two others."""
    choices: list[Choice] = []
    for name in draw(st.permutations("abcdefgh"))[: draw(st.integers(0, 8))]:
        when: Expr | bool = True
        for _ in range(draw(st.integers(0, 2)) if choices else 0):
            other = draw(st.sampled_from(choices))
            term = other == draw(st.sampled_from(other.values))
            if draw(st.booleans()):
                term = other != draw(st.sampled_from(other.values))
            joined = draw(st.booleans())
            when = term if when is True else (when & term if joined else when | term)
        choices.append(Choice(draw(st.sampled_from(VALUES)), label=name, when=when))
    return choices


def brute_force(choices: list[Choice]) -> set[str]:
    """All canonical archs by trying every combination of values, in creation order."""
    archs: list[dict] = [{}]
    for choice in choices:
        when = choice.when
        archs = [
            {**arch, choice.label: value} if taken else arch
            for arch in archs
            for taken in [when if isinstance(when, bool) else when.evaluate(arch)]
            for value in (choice.values if taken else (None,))
        ]
    return {json.dumps(arch, sort_keys=True) for arch in archs}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(choice_lists(), st.integers(0, 2**32))
def test_invariants(choices: list[Choice], seed: int) -> None:
    space = FunctionSpace(choices, identity)
    archs = list(space.enumerate())
    assert {json.dumps(arch, sort_keys=True) for arch in archs} == brute_force(choices)
    assert space.size() == len(archs)

    random.Random(seed).shuffle(choices)
    shuffled = FunctionSpace(choices, identity)
    assert shuffled.fingerprint == space.fingerprint
    assert [d.label for d in shuffled.decisions] == [d.label for d in space.decisions]

    rng = np.random.default_rng(seed)
    arch = space.sample(rng)
    assert arch in archs
    assert space.decode(space.encode([arch])) == [arch]
    for neighbour in space.neighbours(arch):
        assert neighbour in archs
    if any(len(space.decision(label).choices) > 1 for label in arch):
        child = space.mutate(arch, rng)
        assert child in archs
        assert child != arch


def test_67_free_decisions_count_at_once() -> None:
    space = FunctionSpace({f"d{i}": [1, 2, 3, 4] for i in range(67)}, identity)
    assert space.size() == 4**67


def test_many_conditions_on_one_depth_count_at_once() -> None:
    depth = Choice(range(31), label="depth")
    ops = [Choice(range(4), label=f"a{i}", when=depth > i) for i in range(30)]
    inner = [Choice(range(3), label=f"z{i}", when=op == 1) for i, op in enumerate(ops)]
    # Each block that exists has 3 plain operations and one with 3 variants.
    assert FunctionSpace([*inner, *ops, depth], identity).size() == sum(6**k for k in range(31))


def test_conditions_over_many_decisions() -> None:
    bits = [Choice([0, 1], label=f"b{i}") for i in range(12)]
    extra = Choice(range(5), label="extra", when=sum(bits[1:], bits[0] + 0) >= 11)
    # 1 + 12 settings have at least eleven ones.
    assert FunctionSpace([*bits, extra], identity).size() == 2**12 - 13 + 13 * 5


def test_too_entangled_conditions_are_refused() -> None:
    bits = [Choice([0, 1], label=f"b{i}") for i in range(40)]
    extra = Choice(range(5), label="extra", when=sum(bits[1:], bits[0] + 0) >= 39)
    space = FunctionSpace([*bits, extra], identity)
    with pytest.raises(SpaceError, match="cannot be counted"):
        space.size()


def test_decisions_are_in_natural_order() -> None:
    labels = ["op_10", "op_9", "op_1", "stage2.x", "stage10.x", "B"]
    space = FunctionSpace({label: [1, 2] for label in labels}, identity)
    assert [d.label for d in space.decisions] == [
        "B",
        "op_1",
        "op_9",
        "op_10",
        "stage2.x",
        "stage10.x",
    ]


def test_mutation_is_uniform_over_the_decisions_taken() -> None:
    flag = Choice([True, False], label="flag")
    space = FunctionSpace(
        [flag, Choice([1, 2], label="a"), Choice([1, 2, 3], label="b", when=flag == False)],  # noqa: E712
        identity,
    )
    rng = np.random.default_rng(0)
    arch = {"a": 1, "flag": True}
    children = [space.mutate(arch, rng) for _ in range(1200)]
    changed_a = sum(child["a"] == 2 for child in children)
    assert abs(changed_a - 600) < 6 * math.sqrt(300)
    drawn = [child["b"] for child in children if "b" in child]
    assert len(drawn) == 1200 - changed_a
    assert all(abs(drawn.count(b) - len(drawn) / 3) < 6 * math.sqrt(len(drawn)) for b in (1, 2, 3))
