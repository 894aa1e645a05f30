"""Descriptors of the spaces with published latencies, against the networks they describe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hwnas import zoo
from hwnas.cost import static_costs
from hwnas.errors import ArchError
from hwnas.predict import Descriptor, load_descriptor
from hwnas.space import Arch

SPACES = {
    "nasbench201": zoo.nasbench201(),
    "fbnet": zoo.fbnet((3, 32, 32)),
    "ofa_mobilenetv3": zoo.ofa_mobilenetv3(),
}
DESCRIPTORS: dict[str, Descriptor] = {name: load_descriptor(name) for name in SPACES}
named = pytest.mark.parametrize("name", SPACES)
seeds = st.integers(0, 2**32 - 1)


def some(name: str, seed: int, count: int = 1) -> list[Arch]:
    rng = np.random.default_rng(seed)
    archs = [SPACES[name].sample(rng) for _ in range(count)]
    if name == "ofa_mobilenetv3":
        return [{**arch, "resolution": int(rng.choice(range(128, 225, 4)))} for arch in archs]
    return archs


def built(name: str, arch: Arch) -> nn.Module:
    with torch.device("meta"):
        return SPACES[name].build(arch).eval()


@named
@given(seed=seeds)
@settings(deadline=None, max_examples=12)
def test_a_row_depends_on_its_arch_alone(name: str, seed: int) -> None:
    archs = some(name, seed, 5)
    descriptor = DESCRIPTORS[name]
    together = descriptor.groups(archs)
    turned = [dict(reversed(arch.items())) for arch in archs[::-1]]
    for group, table in descriptor.groups(turned).items():
        assert table.dtype == np.float64
        assert np.isfinite(table).all()
        np.testing.assert_array_equal(table[::-1], together[group])
    for group, row in descriptor.groups(archs[:1]).items():
        np.testing.assert_array_equal(row[0], together[group][0])


@named
def test_no_arch_gives_empty_tables_of_the_same_columns(name: str) -> None:
    none, one = DESCRIPTORS[name].groups([]), DESCRIPTORS[name].groups(some(name, 0))
    assert {key: value.shape for key, value in none.items()} == {
        key: (0, value.shape[1]) for key, value in one.items()
    }


@named
@pytest.mark.parametrize(
    "change",
    [
        lambda arch, label: {**arch, "unknown": 3},
        lambda arch, label: {key: value for key, value in arch.items() if key != label},
        lambda arch, label: {**arch, label: "of no kind"},
        lambda arch, label: {**arch, label: True},
        lambda arch, label: {**arch, label: ["a list"]},
        lambda arch, label: {},
        lambda arch, label: "text",
    ],
)
def test_an_arch_of_another_space_is_refused(name: str, change: Any) -> None:
    good = some(name, 1, 3)
    bad = change(good[1], next(iter(good[1])))
    with pytest.raises(ArchError):
        DESCRIPTORS[name].groups([good[0], bad, good[2]])


# NAS-Bench-201


@pytest.mark.parametrize("seed", range(8))
def test_counts_are_those_of_the_built_cells(seed: int) -> None:
    (arch,) = some("nasbench201", seed)
    kinds = {"Identity": 0, "AvgPool2d": 3}
    found = np.zeros(4)
    for module in built("nasbench201", arch).modules():
        for edge in getattr(module, "edges", ()):
            kind = kinds.get(type(edge).__name__)
            if isinstance(edge, nn.Sequential):
                kind = 1 if edge[1].kernel_size == (1, 1) else 2
            if kind is not None:
                found[kind] += 1
    groups = DESCRIPTORS["nasbench201"].groups([arch])
    np.testing.assert_array_equal(found / 15, groups["counts"][0])


@pytest.mark.parametrize("seed", range(20))
def test_what_is_live_is_what_gradients_reach(seed: int) -> None:
    """Of one cell: from its input to each operation, and from there to its output."""
    (arch,) = some("nasbench201", seed)
    torch.manual_seed(seed % 1000)
    cell = built("nasbench201", arch).get_submodule("body.0").double().to_empty(device="cpu")
    for parameter in cell.parameters():
        nn.init.uniform_(parameter, -1, 1)
    for module in cell.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    outputs: list[torch.Tensor] = []
    for edge in cell.edges:  # type: ignore[union-attr]
        edge.register_forward_hook(lambda _, args, output: outputs.append(output * 1.0))
        edge.register_forward_hook(lambda _, args, output: outputs[-1])
    x = torch.randn(2, 16, 6, 6, dtype=torch.float64, requires_grad=True)
    y = (cell(x) * torch.randn(2, 16, 6, 6, dtype=torch.float64)).sum()

    def reaches(result: torch.Tensor, source: torch.Tensor) -> bool:
        if not (result.requires_grad and source.requires_grad):
            return False
        (found,) = torch.autograd.grad(result, source, retain_graph=True, allow_unused=True)
        return found is not None and bool(found.any())

    operations = [arch[f"node{node}.from{source}"] for node, source in zoo_edges()]
    names = ["skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    live, one_hot = np.zeros(4), np.zeros((6, 4))
    for place, (name, output) in enumerate(zip(operations, outputs, strict=True)):
        if name != "none" and reaches(output.square().sum(), x) and reaches(y, output):
            live[names.index(str(name))] += 1
            one_hot[place, names.index(str(name))] = 1
    groups = DESCRIPTORS["nasbench201"].groups([arch])
    np.testing.assert_array_equal(groups["structure"][0, :4], live)
    np.testing.assert_array_equal(groups["live"][0], one_hot.ravel())
    alive = reaches(y, x)
    assert groups["used"][0, 4] == groups["structure"][0, -1] == alive


def zoo_edges() -> list[tuple[int, int]]:
    return [(node, source) for node in range(1, 4) for source in range(node)]


def test_used_counts_run_backwards_from_the_output() -> None:
    """By hand: what a `none` cuts off from the output is not used, what it starves is."""
    text = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|nor_conv_1x1~0|none~1|none~2|"
    fed = "|none~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
    dead = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|none~2|"
    archs = [zoo.read_nasbench201(one) for one in (text, fed, dead)]
    groups = DESCRIPTORS["nasbench201"].groups(archs)
    assert groups["counts"].tolist() == [[0, 1, 1, 1], [1, 1, 1, 0], [0, 0, 2, 0]]
    assert groups["used"].tolist() == [[0, 1, 0, 0, 1], [1, 1, 1, 0, 1], [0, 0, 0, 0, 0]]
    # Fed and used, sums at nodes 2 and 3, longest path, alive.
    assert groups["structure"].tolist() == [
        [0, 1, 0, 0, 0, 0, 1, 1],
        [0, 1, 1, 0, 0, 0, 2, 1],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]


@given(seed=seeds)
@settings(deadline=None, max_examples=12)
def test_equal_cells_have_equal_structure(seed: int) -> None:
    """Without an edge between them, nodes 1 and 2 may change names."""
    (arch,) = some("nasbench201", seed)
    arch["node2.from1"] = "none"
    swapped = {
        **arch,
        "node1.from0": arch["node2.from0"],
        "node2.from0": arch["node1.from0"],
        "node3.from1": arch["node3.from2"],
        "node3.from2": arch["node3.from1"],
    }
    groups = DESCRIPTORS["nasbench201"].groups([arch, swapped])
    for name in ("counts", "used", "structure"):
        np.testing.assert_array_equal(groups[name][0], groups[name][1])


# FBNet, Once-for-All


def weights(module: nn.Module) -> int:
    """Of the convolutions."""
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("seed", range(8))
def test_fbnet_counts_what_its_layers_take(seed: int) -> None:
    (arch,) = some("fbnet", seed)
    layers = built("fbnet", arch).get_submodule("layers")
    moved: list[int] = []  # what a block with convolutions takes, and what these write
    for layer in layers.children():
        convolutions = [m for m in layer.modules() if isinstance(m, nn.Conv2d)]
        for module in convolutions:
            module.register_forward_hook(lambda _, args, output: moved.append(output.numel()))
        if convolutions:
            layer.register_forward_hook(lambda _, args, output: moved.append(args[0].numel()))
    layers(torch.empty(1, 16, 32, 32, device="meta"))
    total = sum(moved)
    physics = DESCRIPTORS["fbnet"].groups([arch])["physics"][0]
    assert physics[:3].sum() == static_costs(layers, (1, 16, 32, 32), ["macs"])["macs"]
    assert physics[4] == weights(layers)
    assert physics[5] == total
    assert physics[6] == sum(bool(weights(layer)) for layer in layers.children())


@given(seed=seeds)
@settings(deadline=None, max_examples=12)
def test_fbnet_groups_agree(seed: int) -> None:
    archs = some("fbnet", seed, 3)
    groups = DESCRIPTORS["fbnet"].groups(archs)
    one_hot = groups["decisions"].reshape(3, 22, 9)
    np.testing.assert_array_equal(one_hot.sum(1), groups["counts"])
    np.testing.assert_array_equal(one_hot.sum(2), 1)
    macs, moved = np.split(groups["operators"], 2, axis=1)
    np.testing.assert_allclose(macs.sum(1), groups["physics"][:, :3].sum(1))
    np.testing.assert_allclose(moved.sum(1), groups["physics"][:, 5])
    np.testing.assert_array_equal(groups["stages"].sum(1), 22 - groups["counts"][:, 8])


def test_alike_operations_of_fbnet_are_near_in_layers() -> None:
    """A layer's expansion of 3 is nearer to that of 6 than to the same in a distant layer."""
    base = {f"layer{i}": "skip" for i in range(1, 23)}
    changes = [{}, {"layer3": "k3_e3"}, {"layer3": "k3_e6"}, {"layer21": "k3_e3"}]
    groups = DESCRIPTORS["fbnet"].groups([{**base, **change} for change in changes])
    layers = groups["layers"][1:] - groups["layers"][0]
    likeness = layers @ layers.T
    cosine = likeness / np.sqrt(np.outer(likeness.diagonal(), likeness.diagonal()))
    assert 1 > cosine[0, 1] > cosine[0, 2] >= 0


def test_no_column_of_fbnet_is_made_of_rounding_errors() -> None:
    """A model would scale them up, and then depend on the machine."""
    spread = DESCRIPTORS["fbnet"].groups(some("fbnet", 0, 300))["layers"].std(0)
    assert ((spread == 0) | (spread > 1e-3)).all()
    assert (spread == 0).sum() == 16  # skips that keep the shape


@pytest.mark.parametrize("seed", range(8))
def test_ofa_counts_what_its_blocks_take(seed: int) -> None:
    (arch,) = some("ofa_mobilenetv3", seed)
    side = int(arch.pop("resolution"))
    stages = built("ofa_mobilenetv3", arch).get_submodule("stages")
    squeezes = [m for m in stages.modules() if hasattr(m, "squeeze")]
    apart = sum(weights(module) for module in squeezes)
    physics = DESCRIPTORS["ofa_mobilenetv3"].groups([{**arch, "resolution": side}])["physics"][0]
    macs = static_costs(stages, (1, 16, -(-side // 2), -(-side // 2)), ["macs"])["macs"]
    assert physics[:4].sum() == macs - apart
    assert physics[4] == weights(stages) - apart
    blocks = sum(m.groups > 1 for m in stages.modules() if isinstance(m, nn.Conv2d))
    assert physics[6] == blocks


@pytest.mark.parametrize("resolution", [31, 224.0, True, "224", None])
def test_a_resolution_is_a_number_of_pixels(resolution: Any) -> None:
    arch = {**SPACES["ofa_mobilenetv3"].default(), "resolution": resolution}
    with pytest.raises(ArchError, match="'resolution' is"):
        DESCRIPTORS["ofa_mobilenetv3"].groups([arch])


def test_ofa_without_a_resolution_takes_the_space_s_own() -> None:
    arch = SPACES["ofa_mobilenetv3"].default()
    groups = DESCRIPTORS["ofa_mobilenetv3"].groups([arch, {**arch, "resolution": 224}])
    for table in groups.values():
        np.testing.assert_array_equal(table[0], table[1])


def test_a_decision_that_is_not_taken_is_refused() -> None:
    arch = {**SPACES["ofa_mobilenetv3"].default(), "stage1.block4.kernel": 3}
    with pytest.raises(ArchError, match=r"'stage1\.block4\.kernel' is not taken"):
        DESCRIPTORS["ofa_mobilenetv3"].groups([arch])
