"""Costs of one's own: functions, sums of parts, tables of measured blocks, ranges."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from hwnas.cost import Block, CostTable, FeasibleSet, FunctionCost, LatencyTable, RangeFilter
from hwnas.errors import ArchError, CostError, DataError
from hwnas.space import Arch, Choice, FunctionSpace
from hwnas.zoo._ofa_mobilenetv3 import ofa_mobilenetv3

DATA = Path(os.environ.get("HWNAS_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def build(arch: Arch) -> nn.Module:
    return nn.Identity()


@pytest.fixture
def space() -> FunctionSpace:
    depth = Choice([1, 2, 3], label="depth")
    kernels = [Choice([3, 5], label=f"kernel{i}", when=depth > i) for i in range(3)]
    return FunctionSpace([depth, *kernels], build)


def latency(space: FunctionSpace) -> CostTable:
    table = LatencyTable.read(DATA_FILE)
    blocks = [Block([], lambda arch: "stem")]
    for i in range(3):
        label = f"kernel{i}"
        blocks.append(
            Block([label], lambda arch, n=label: f"conv{arch[n]}" if n in arch else None)  # type: ignore[misc]
        )
    return table.cost(space, blocks)


DATA_FILE = Path(__file__).parent / "no such file"
TEXTS = {
    "t.json": '{"stem": 2, "conv3": {"mean": 1.5, "std": 0.1}, "conv5": {"mean": 4, "var": 0.25}}',
    "t.yaml": "stem: 2\nconv3: {mean: 1.5, std: 0.1, count: 7}\nconv5:\n  mean: 4\n  var: 0.25\n",
    "t.csv": "block,mean,std,note\nstem,2,,x\nconv3,1.5,0.1,y\nconv5,4,0.5,z\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_tables_in_open_formats(
    name: str, space: FunctionSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_text(TEXTS[name])
    table = LatencyTable.read(path)
    assert (table["conv3"].value, table["conv3"].std) == (1.5, 0.1)
    assert (table["conv5"].value, table["conv5"].std, len(table)) == (4.0, 0.5, 3)
    monkeypatch.setattr(f"{__name__}.DATA_FILE", path)
    cost = latency(space)
    assert cost.name == "latency"
    assert cost({"depth": 2, "kernel0": 3, "kernel1": 5}) == 7.5
    assert cost.minimum() == (3.5, {"depth": 1, "kernel0": 3})
    drawn = FeasibleSet(space, [(cost, "<=", 6.0)]).draw(50, np.random.default_rng(0))
    assert all(cost(arch) <= 6 for arch in drawn)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.txt", "stem: 1", "is not .csv, .json or .yaml"),
        ("t.json", "{", "no table of latencies"),
        ("t.yaml", "- 1\n- 2\n", "must map block names"),
        ("t.yaml", "stem: {count: 1}", "'stem' has no latency"),
        ("t.yaml", "stem: -1", "the latency of 'stem' is -1"),
        ("t.json", '{"stem": NaN}', "the latency of 'stem' is nan"),
        ("t.csv", "a,b\n1,2\n", "block and mean"),
        ("t.csv", "block,mean\nstem,2\nstem,3\n", "'stem' stands twice"),
        ("t.csv", "block,mean\nstem,fast\n", "'stem' has no latency"),
    ],
)
def test_files_that_are_wrong(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        LatencyTable.read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no table of latencies"):
        LatencyTable.read(tmp_path / "x.yaml")


def test_a_block_that_was_not_measured_is_named(space: FunctionSpace, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('{"conv3": 1}')
    table = LatencyTable.read(path)
    with pytest.raises(CostError, match="has no block 'conv5'"):
        table.cost(space, [Block(["kernel0"], lambda arch: f"conv{arch['kernel0']}")])


def ofa_blocks(size: int) -> list[Block]:
    """The blocks of the published table of Once-for-All networks of width 1.2."""
    widths, strides, squeezed, hard = (
        [32, 48, 96, 136, 192],
        [2, 2, 2, 1, 2],
        [0, 1, 0, 1, 1],
        [0, 0, 1, 1, 1],
    )
    half = -(-size // 2)
    blocks = [
        Block([], lambda arch: f"Conv-input:{size}x{size}x3-output:{half}x{half}x24"),
        Block([], lambda arch: _conv(half, half, 24, 24, 24, 3, 1, 1, 0, 0)),
    ]
    before, here = 24, half
    for stage in range(5):
        for place in range(4):
            stride = strides[stage] if place == 0 else 1
            there = -(-here // stride)
            name = f"stage{stage + 1}.block{place + 1}"

            def key(arch: Any, name: str = name, fixed: Any = None) -> str | None:
                if f"{name}.kernel" not in arch:
                    return None
                big, small, c_in, c_out, s, skip, se, hs = fixed
                hidden = c_in * int(arch[f"{name}.expand"])
                return _conv(
                    big, small, c_in, c_out, hidden, arch[f"{name}.kernel"], s, skip, se, hs
                )

            given = (
                *(here, there, before, widths[stage], stride, int(place > 0)),
                *(squeezed[stage], hard[stage]),
            )
            labels = [f"{name}.kernel", f"{name}.expand"]
            blocks.append(Block(labels, lambda arch, key=key, given=given: key(arch, fixed=given)))  # type: ignore[misc]
            before, here = widths[stage], there
    ends = [
        f"Conv_1-input:{here}x{here}x192-output:{here}x{here}x1152",
        f"AvgPool2D-input:{here}x{here}x1152-output:1x1x1152",
        "Conv_2-input:1x1x1152-output:1x1x1536",
        "Logits-input:1x1x1536-output:1000",
    ]
    return [*blocks, *(Block([], lambda arch, end=end: end) for end in ends)]  # type: ignore[misc]


def _conv(
    h: int, o: int, c_in: int, c_out: int, hidden: int, k: Any, s: int, skip: int, se: int, hs: int
) -> str:
    return (
        f"expanded_conv-input:{h}x{h}x{c_in}-output:{o}x{o}x{c_out}-expand:{hidden}-kernel:{k}"
        f"-stride:{s}-idskip:{skip}-se:{se}-hs:{hs}"
    )


@pytest.mark.parametrize("size", [160, 224])
def test_the_published_table_of_a_phone(size: int) -> None:
    path = DATA / "ofa" / "note10" / f"{size}.yaml"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    table = LatencyTable.read(path)
    space = ofa_mobilenetv3(width=1.2)
    cost = table.cost(space, ofa_blocks(size))
    least, most = cost.minimum(), cost.maximum()
    assert all(least[1][f"stage{i}.depth"] == 2 for i in range(1, 6))
    assert all(most[1][f"stage{i}.depth"] == 4 for i in range(1, 6))
    assert 5 < least[0] < most[0] < 200
    arch = space.sample(np.random.default_rng(0))
    keys = [block.key(arch) for block in ofa_blocks(size)]
    assert cost(arch) == pytest.approx(sum(table[key].value for key in keys if key is not None))


def test_the_published_table_of_proxylessnas() -> None:
    path = DATA / "proxylessnas" / "mobile_trim.yaml"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    table = LatencyTable.read(path)
    assert len(table) == 72
    stem = table["Conv-input:224x224x3-output:112x112x32"]
    assert (stem.value, stem.std) == (4.083755600814664, math.sqrt(0.2502372872758427))


def test_ranges(space: FunctionSpace) -> None:
    def total(arch: Any) -> float:
        return float(sum(v for v in arch.values()))

    cost = FunctionCost("total", space, total)
    inside = RangeFilter(cost, min=5, max=9)
    archs = list(space.enumerate())
    expected = [5 <= total(arch) <= 9 for arch in archs]
    assert 0 < sum(expected) < len(archs)
    assert [inside(arch) for arch in archs] == expected
    assert inside.keeps(space.encode(archs)).tolist() == expected
    assert RangeFilter(cost, max=9)({"depth": 1, "kernel0": 3})
    with pytest.raises(CostError, match="needs an end"):
        RangeFilter(cost)
    for low, high in ((3, 2), (math.nan, 2)):
        with pytest.raises(CostError, match="is empty"):
            RangeFilter(cost, low, high)
    with pytest.raises(CostError, match="not made of tables"):
        FeasibleSet(space, inside.limits)  # type: ignore[arg-type]


def test_a_range_of_a_table_is_a_set(space: FunctionSpace) -> None:
    parts: Any = [([f"kernel{i}"], lambda a: sum(a.values())) for i in range(3)]
    cost = CostTable.of("sum", space, parts)
    inside = RangeFilter(cost, 6, 11)
    feasible = FeasibleSet(space, inside.limits)  # type: ignore[arg-type]
    assert feasible.count().lower == sum(map(inside, space.enumerate()))


def test_functions_that_are_wrong(space: FunctionSpace) -> None:
    arch: Arch = {"depth": 1, "kernel0": 3}
    for value in (math.nan, math.inf, "fast", None):
        with pytest.raises(CostError, match="the cost 'mine' is"):
            FunctionCost("mine", space, lambda arch, value=value: value)(arch)
        with pytest.raises(CostError, match="the cost 'mine' is"):
            CostTable.of("mine", space, [(["depth"], lambda arch, value=value: value)])  # type: ignore[misc,list-item]
    with pytest.raises(ArchError):
        FunctionCost("mine", space, lambda arch: 1)({"depth": 1})
    with pytest.raises(CostError, match="'nothing', which is no decision"):
        CostTable.of("mine", space, [(["nothing"], lambda arch: 1.0)])
