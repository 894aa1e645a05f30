"""The descriptor that every space has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hwnas import zoo
from hwnas.cost import static_costs
from hwnas.errors import ArchError, PredictError
from hwnas.predict import Descriptor, load_descriptor
from hwnas.predict._descriptors.work import KINDS
from hwnas.space import Arch, Choice, FunctionSpace, ModelSpace, SearchSpace, SizedSpace

SHAPE = {"digits_cnn": (1, 8, 8)}
NAMES = ("digits_cnn", "proxylessnas", "autoformer")
SPACES: dict[str, ModelSpace] = {}
DESCRIPTORS: dict[str, Descriptor] = {}


def made(name: str) -> tuple[ModelSpace, Descriptor]:
    """Each once."""
    if name not in SPACES:
        shape = SHAPE.get(name, (3, 64, 64))
        space = zoo.load_space(name, shape)
        assert isinstance(space, ModelSpace)
        SPACES[name] = space
        DESCRIPTORS[name] = load_descriptor(name, shape)
    return SPACES[name], DESCRIPTORS[name]


@pytest.mark.parametrize("name", NAMES)
def test_totals_are_those_of_the_networks(name: str) -> None:
    space, descriptor = made(name)
    shape = (1, *SHAPE.get(name, (3, 64, 64)))
    rng = np.random.default_rng(1)
    archs = [space.sample(rng) for _ in range(3)]
    groups = descriptor.groups(archs)
    for arch, physics in zip(archs, groups["physics"], strict=True):
        with torch.device("meta"):
            model = space.build(arch)
        costs = static_costs(model, shape, ["macs", "params"])
        assert (physics[0], physics[3]) == (costs["macs"], costs["params"])
    physics, stages = groups["physics"], groups["stages"].reshape(3, -1, 3)
    np.testing.assert_array_equal(physics[:, 4:11].sum(1), physics[:, 0])
    np.testing.assert_array_equal(physics[:, 11:].sum(1), physics[:, 1])
    np.testing.assert_array_equal(groups["counts"].sum(1), physics[:, 2])
    np.testing.assert_array_equal(stages.sum(1)[:, [1, 2, 0]], physics[:, :3])
    taken = groups["decisions"].sum(1)
    assert taken.tolist() == [len(arch) for arch in archs]


@pytest.mark.parametrize("name", NAMES)
def test_a_row_depends_on_its_arch_alone(name: str) -> None:
    space, descriptor = made(name)
    rng = np.random.default_rng(2)
    archs = [space.sample(rng) for _ in range(6)]
    together = descriptor.groups(archs)
    for table in together.values():
        assert table.dtype == np.float64
        assert np.isfinite(table).all()
    turned = [dict(reversed(arch.items())) for arch in archs[::-1]]
    for group, table in descriptor.groups(turned).items():
        np.testing.assert_array_equal(table[::-1], together[group])
    for group, table in descriptor.groups(archs[4:5]).items():
        np.testing.assert_array_equal(table[0], together[group][4])
    empty = {group: table.shape for group, table in descriptor.groups([]).items()}
    assert empty == {group: (0, table.shape[1]) for group, table in together.items()}


@pytest.mark.parametrize("name", NAMES)
def test_an_arch_of_another_space_is_refused(name: str) -> None:
    space, descriptor = made(name)
    good = space.default()
    label = next(iter(good))
    wrong: list[Any] = [
        {**good, "unknown": 1},
        {key: value for key, value in good.items() if key != label},
        {**good, label: "of no kind"},
        [good],
    ]
    for arch in wrong:
        with pytest.raises(ArchError):
            descriptor.groups([good, arch])
    untaken = {d.label for d in space.decisions} - good.keys()
    for extra in sorted(untaken)[:1]:
        with pytest.raises(ArchError, match="is not taken"):
            descriptor.groups([{**good, extra: space.decision(extra).choices[0]}])


def test_layers_tell_what_networks_take() -> None:
    """Few of their columns are enough to tell the arithmetic of all layers."""
    space, descriptor = made("proxylessnas")
    rng = np.random.default_rng(0)
    groups = descriptor.groups([space.sample(rng) for _ in range(200)])
    layers, macs = groups["layers"], groups["physics"][:, 0]
    weights = np.linalg.lstsq(layers[:100], macs[:100], rcond=None)[0]
    error = np.abs(layers[100:] @ weights - macs[100:]) / macs[100:]
    assert np.median(error) < 0.02


KIND_CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convolution": (lambda: nn.Conv2d(4, 6, 3), (1, 4, 8, 8)),
    "pointwise": (lambda: nn.Conv2d(4, 6, 1), (1, 4, 8, 8)),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2), (1, 4, 8, 8)),
    "depthwise 3": (lambda: nn.Conv2d(4, 4, 3, groups=4), (1, 4, 8, 8)),
    "depthwise 5": (lambda: nn.Conv2d(4, 8, 5, groups=4), (1, 4, 8, 8)),
    "depthwise 7": (lambda: nn.Conv1d(4, 4, 9, groups=4), (1, 4, 16)),
    "product": (lambda: nn.Linear(4, 6), (1, 3, 4)),
    "norm": (lambda: nn.BatchNorm2d(4), (1, 4, 8, 8)),
    "activation": (lambda: nn.Hardswish(), (1, 4, 8, 8)),
    "pool": (lambda: nn.AvgPool2d(2), (1, 4, 8, 8)),
    "softmax": (lambda: nn.Softmax(-1), (1, 4)),
}
MOVED = {"convolution": 256 + 216, "pointwise": 256 + 384, "product": 12 + 18, "norm": 512}


@pytest.mark.parametrize("kind", KIND_CASES)
def test_kinds_of_operators(kind: str) -> None:
    make, shape = KIND_CASES[kind]
    space = FunctionSpace([Choice([1, 2], label="n")], lambda arch: Repeated(make(), arch["n"]))
    descriptor = load_descriptor(space, shape[1:])
    groups = descriptor.groups([{"n": 1}, {"n": 2}])
    one = np.array([name == kind for name in KINDS], np.float64)
    np.testing.assert_array_equal(groups["counts"], [one, 2 * one])
    if kind in MOVED:
        np.testing.assert_array_equal(groups["physics"][:, 1], np.array([1, 2]) * MOVED[kind])


class Repeated(nn.Module):
    def __init__(self, module: nn.Module, count: int) -> None:
        super().__init__()
        self.module, self.count = module, count

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [self.module(x) for _ in range(self.count)]


def test_a_space_without_a_template_is_traced() -> None:
    """The numbers are those of the tables, where both have a column."""
    space, tabled = made("digits_cnn")
    built: list[Arch] = []

    def build(arch: Arch) -> nn.Module:
        built.append(arch)
        return space.build(arch)

    choices = [Choice(d.choices, label=d.label) for d in space.decisions]
    untabled: SearchSpace = FunctionSpace(choices, build)
    traced = load_descriptor(untabled, (1, 8, 8))
    assert "no template" in str(getattr(traced, "reason", ""))
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(40)]
    archs = [arch for arch in drawn if len(arch) == len(space.decisions)][:3]
    one, two = tabled.groups(archs), traced.groups(archs)
    for group in ("counts", "physics"):
        np.testing.assert_array_equal(one[group], two[group])
    before = len(built)
    traced.groups(archs[:2])
    assert len(built) == before  # Remembered.


def test_the_size_of_images_may_be_a_decision() -> None:
    space, _ = made("proxylessnas")
    sized = SizedSpace(space, (32, 64))
    descriptor = load_descriptor(sized, (3, 64, 64))
    arch = space.sample(np.random.default_rng(4))
    both = descriptor.groups([{**arch, "resolution": 64}, {**arch, "resolution": 32}])
    for row, size in enumerate((64, 32)):
        alone = load_descriptor(space, (3, size, size)).groups([arch])
        for group in ("counts", "physics"):
            np.testing.assert_array_equal(both[group][row], alone[group][0])
    assert (both["decisions"].sum(1) == len(arch) + 1).all()
    with pytest.raises(ArchError):
        descriptor.groups([arch])


def test_a_space_of_one_s_own_needs_the_shape_of_an_input() -> None:
    with pytest.raises(PredictError, match="needs the shape of an input"):
        load_descriptor(ModelSpace(nn.Linear, 2, 2))


# HAT

HAT = load_descriptor("hat")


def test_hat_has_the_published_features() -> None:
    space = zoo.hat(vocabulary=10)
    archs = [space.sample(np.random.default_rng(seed)) for seed in range(5)]
    groups = HAT.groups(archs)
    for arch, row in zip(archs, groups["structure"], strict=True):
        assert row.tolist() == list(zoo.hat_features(arch).values())
    for name, table in groups.items():
        np.testing.assert_array_equal(table[2], HAT.groups(archs[2:3])[name][0])


def test_hat_counts_the_parameters_of_the_layers() -> None:
    """Of the products; norms and biases are left out."""
    space = zoo.hat(vocabulary=10)
    arch = space.sample(np.random.default_rng(3))
    with torch.device("meta"):
        model = space.build(arch)

    def weights(part: str) -> int:
        layers = model.get_submodule(part).modules()
        return sum(m.weight.numel() for m in layers if isinstance(m, nn.Linear))

    physics = HAT.groups([arch])["physics"][0]
    assert physics[5:7].tolist() == [weights("encoder"), weights("decoder")]


@pytest.mark.parametrize(
    "change",
    [
        {"encoder.layer1.hidden": None},
        {"decoder.layer9.heads": 4},
        {"decoder.depth": "6"},
        {"x": 1},
    ],
)
def test_what_is_no_arch_of_hat_is_refused(change: dict[str, Any]) -> None:
    arch = zoo.hat(vocabulary=10).default()
    with pytest.raises(ArchError, match="HAT"):
        HAT.groups([{**arch, **change}])
    with pytest.raises(ArchError):
        HAT.groups(["text"])  # type: ignore[list-item]
