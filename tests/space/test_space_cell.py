"""InputChoice and Cell: which tensors are read, and how they are put together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hwnas.space as hs
from hwnas.errors import SpaceError
from hwnas.space import (
    Cell,
    CellNetwork,
    Choice,
    ChosenInputs,
    InputChoice,
    ModelSpace,
)

A, B, C = (torch.full((1, 2), float(10**i)) for i in range(3))


def inputs_of(*args: Any, **kwargs: Any) -> ModelSpace:
    return ModelSpace(lambda: InputChoice(*args, label="in", **kwargs))


def both(space: ModelSpace, arch: dict, *inputs: Any) -> Any:
    """The output of the built network, checked to be the supernet's."""
    output = space.extract(arch)(*inputs)
    with space.activate(arch):
        torch.testing.assert_close(space.supernet(*inputs), output)
    return output


# InputChoice


def test_one_input() -> None:
    space = inputs_of(3)
    assert space.decision("in").choices == (0, 1, 2)
    assert both(space, {"in": 1}, [A, B, C]).tolist() == B.tolist()
    assert type(space.build({"in": 1})) is ChosenInputs


def test_named_inputs() -> None:
    space = inputs_of(["stem", "left", "right"], 2)
    assert space.decision("in").choices == ("stem,left", "stem,right", "left,right")
    assert both(space, {"in": "stem,right"}, [A, B, C]).tolist() == [[101, 101]]
    assert inputs_of(["stem", "left"]).decision("in").choices == ("stem", "left")


def test_any_number_of_inputs() -> None:
    choices = inputs_of(3, None).decision("in").choices
    assert choices == ("0", "1", "2", "0,1", "0,2", "1,2", "0,1,2")


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [("sum", [[101, 101]]), ("mean", [[50.5, 50.5]]), ("concat", [[1, 1, 100, 100]])],
)
def test_reductions(reduction: Any, expected: list[list[float]]) -> None:
    space = inputs_of(3, 2, reduction)
    assert both(space, {"in": "0,2"}, [A, B, C]).tolist() == expected


def test_no_reduction_gives_a_list() -> None:
    output = both(inputs_of(3, 2, "none"), {"in": "0,2"}, [A, B, C])
    assert [tensor[0, 0].item() for tensor in output] == [1, 100]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((0,), "no number of inputs"),
        (([],), "no number of inputs"),
        (("ab",), "no number of inputs"),
        ((["a,b", "c"],), "a text without commas"),
        ((["a", ""],), "a text without commas"),
        ((["a", "a"],), "stands twice"),
        ((2, 3), "cannot choose 3 of 2"),
        ((2, 0), "cannot choose 0 of 2"),
        ((2, 1, "max"), "reduction 'max'"),
        ((20, None), "1048575 subsets of 20 inputs are too many"),
        ((30, 15), "too many"),
    ],
)
def test_bad_input_choices(args: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        inputs_of(*args)


# Cell


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def powers() -> dict[str, Any]:
    """Operations that leave a trace of kind, node and source."""
    return {"x2": lambda node, source: Times(2), "x3": lambda node, source: Times(3)}


def test_decisions_of_a_cell() -> None:
    space = ModelSpace(lambda: Cell(powers(), 2, 2, 2, label="normal"))
    found = {decision.label: decision.choices for decision in space.decisions}
    assert found == {
        "normal/op_2_0": ("x2", "x3"),
        "normal/op_2_1": ("x2", "x3"),
        "normal/op_3_0": ("x2", "x3"),
        "normal/op_3_1": ("x2", "x3"),
        "normal/input_2_0": (0, 1),
        "normal/input_2_1": (0, 1),
        "normal/input_3_0": (0, 1, 2),
        "normal/input_3_1": (0, 1, 2),
    }
    assert space.size() == 2**4 * 2**2 * 3**2
    # The space of one DARTS cell: four nodes, two inputs each, seven operations.
    darts = ModelSpace(lambda: Cell([nn.Identity] * 7, 4, 2, 2, label="cell"))
    assert darts.size() == 7**8 * math.prod(n**2 for n in (2, 3, 4, 5))


def arch(**values: Any) -> dict[str, Any]:
    return {f"cell/{name}": value for name, value in values.items()}


def test_what_a_cell_computes() -> None:
    space = ModelSpace(lambda: Cell(powers(), 2, 2, 2, label="cell"))
    chosen = arch(
        op_2_0="x2", input_2_0=0, op_2_1="x3", input_2_1=1,
        op_3_0="x3", input_3_0=2, op_3_1="x2", input_3_1=2,
    )  # fmt: skip
    # Node 2 is 2 A + 3 B = 32, node 3 is 3 * 32 + 2 * 32.
    output = both(space, chosen, A, B)
    assert output.tolist() == [[32, 32, 160, 160]]
    assert both(space, chosen, [A, B]).tolist() == output.tolist()
    assert type(space.build(chosen)) is CellNetwork


def test_loose_ends() -> None:
    space = ModelSpace(lambda: Cell(powers(), 3, merge_op="loose_end", label="cell"))
    chosen = arch(
        op_1_0="x2", input_1_0=0, op_2_0="x3", input_2_0=1, op_3_0="x3", input_3_0=0
    )  # fmt: skip
    assert both(space, chosen, A).tolist() == [[6, 6, 3, 3]]
    chain = arch(
        op_1_0="x2", input_1_0=0, op_2_0="x2", input_2_0=1, op_3_0="x2", input_3_0=2
    )  # fmt: skip
    assert both(space, chain, A).tolist() == [[8, 8]]


class Next(nn.Module):
    """A layer whose width follows the loose ends."""

    def __init__(self, nodes: int, ops: int) -> None:
        super().__init__()
        self.cell = Cell(powers(), nodes, ops, 2, merge_op="loose_end")
        self.fc = hs.nn.Linear(2 * self.cell.loose_ends, 3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.fc(self.cell(a, b))


def test_the_number_of_loose_ends_is_a_formula() -> None:
    space = ModelSpace(Next, 3, 1)
    widths = set()
    for chosen in space.enumerate():
        model: Any = space.build(chosen)
        assert model.cell.loose_ends * 2 == model.fc.in_features
        widths.add(model.fc.in_features)
    assert widths == {2, 4, 6}
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert both(space, space.sample(rng), A, B).shape == (1, 3)


def test_loose_ends_of_a_large_cell() -> None:
    # Five nodes of two operations as in NASNet: more inputs than can be tried one by one.
    space = ModelSpace(Next, 5, 2)
    rng = np.random.default_rng(0)
    for _ in range(5):
        assert both(space, space.sample(rng), A, B).shape == (1, 3)


def test_operations_know_their_node_and_source() -> None:
    made: list[tuple[int, int]] = []

    def op(node: int, source: int) -> nn.Module:
        made.append((node, source))
        return Times(1)

    space = ModelSpace(lambda: Cell([op], 2, 1, 2, label="cell"))
    assert sorted(made) == [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]
    made.clear()
    space.build(arch(op_2_0=0, input_2_0=1, op_3_0=0, input_3_0=2))
    assert made == [(2, 1), (3, 2)]


def test_choices_inside_operations_depend_on_kind_and_source() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            conv = lambda node, source: hs.nn.Conv2d(2, 2, Choice([1, 3]), padding="same")  # noqa: E731
            self.cell = Cell({"conv": conv, "skip": nn.Identity}, 1, 1, 2)

    space = ModelSpace(Net)
    conditions = {d.label: str(d.condition) for d in space.decisions}
    assert conditions["cell.op_2_0.conv.1.kernel_size"] == (
        '((cell/input_2_0 == 1) & (cell/op_2_0 == "conv"))'
    )
    assert space.size() == 2 * (1 + 2)


class Halve(nn.Module):
    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        return [x / 2 for x in inputs]


class AddFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = hs.nn.Linear(1, Choice([1, 2]))

    def forward(self, output: Tensor, inputs: list[Tensor]) -> Tensor:
        return output + inputs[0]


def test_pre_and_postprocessors() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = Cell(powers(), 1, preprocessor=Halve, postprocessor=AddFirst)

        def forward(self, x: Tensor) -> Tensor:
            return self.cell(x)

    space = ModelSpace(Net)
    chosen = arch(op_1_0="x3", input_1_0=0) | {"cell.postprocessor.scale.out_features": 2}
    assert both(space, chosen, B).tolist() == [[25, 25]]


def test_the_dimension_of_concatenation() -> None:
    space = ModelSpace(lambda: Cell(powers(), 2, concat_dim=0, label="cell"))
    assert both(space, space.default(), A).shape == (2, 2)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_nodes": 0}, "need be >= 1"),
        ({"num_nodes": 1, "num_ops_per_node": 0}, "need be >= 1"),
        ({"num_nodes": 1, "num_predecessors": 0}, "need be >= 1"),
        ({"num_nodes": 1, "merge_op": "some"}, "'some' is neither"),
        ({"num_nodes": 1, "op_candidates": [nn.ReLU()]}, "candidate 0 is a module"),
        ({"num_nodes": 1, "op_candidates": [lambda node, source: None]}, "no nn.Module"),
    ],
)
def test_bad_cells(kwargs: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        ModelSpace(lambda: Cell(**{"op_candidates": powers(), "label": "cell", **kwargs}))


def test_cells_share_decisions_by_label() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.ModuleList(Cell(powers(), 2, label="normal") for _ in range(3))

    space = ModelSpace(Net)
    assert len(space.decisions) == 4
    model: Any = space.build(space.default())
    assert len({id(cell) for cell in model.cells}) == 3
