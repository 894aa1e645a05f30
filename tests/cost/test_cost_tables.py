"""Costs of a whole space as tables: equal to building and tracing each arch, to the last unit."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cost_checks import assert_exact, space_of, tables
from cost_spaces import mobilenetv3_like, proxyless_like
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import hwnas.space as hs
from hwnas.cost import (
    CostTable,
    Counting,
    TracedCost,
    cost_tables,
)
from hwnas.errors import ArchError, CostError
from hwnas.space import (
    Choice,
    FunctionSpace,
    InputChoice,
    LayerChoice,
    ModelSpace,
    Repeat,
)
from hwnas.zoo import load_space

sys.path.insert(0, str(Path(__file__).parents[1] / "space"))
from space_examples import INPUT, SPACES


@pytest.mark.parametrize(
    "name", ["chain", "mobilenet", "bench_cell", "darts", "transformer", "nested"]
)
def test_tables_equal_building_and_tracing(name: str) -> None:
    space = SPACES[name]()
    costs = tables(space, INPUT)
    assert_exact(space, INPUT, dict(costs))
    assert all(cost.exact for cost in costs.values())


@pytest.mark.parametrize(
    ("name", "shape"),
    [("digits_cnn", (1, 1, 8, 8)), ("mnist_cnn", (1, 1, 28, 28)), ("image_cnn", (2, 3, 32, 32))],
)
def test_ready_made_spaces(name: str, shape: tuple[int, ...]) -> None:
    space = load_space(name)
    assert_exact(space, shape, dict(tables(space, shape)))


ZOO = {
    "nasbench201": ((1, 3, 32, 32), 20),
    "darts": ((1, 3, 32, 32), 1),
    "mobilenetv2": ((1, 3, 224, 224), 3),
    "proxylessnas": ((1, 3, 224, 224), 3),
    "mobilenetv3": ((1, 3, 224, 224), 3),
    "shufflenetv2": ((1, 3, 224, 224), 3),
    "autoformer": ((1, 3, 224, 224), 3),
    "fbnet": ((1, 3, 224, 224), 3),
    "ofa_mobilenetv3": ((1, 3, 176, 176), 3),
}


@pytest.mark.parametrize("name", ZOO)
def test_published_spaces(name: str) -> None:
    space = load_space(name)
    shape, count = ZOO[name]
    rng = np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(count)]
    assert_exact(space, shape, dict(tables(space, shape)), archs)


def test_the_space_of_hat() -> None:
    space = load_space("hat")
    sentences = (torch.zeros(1, 30, dtype=torch.long), torch.zeros(1, 25, dtype=torch.long))
    rng = np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(3)]
    assert_exact(space, sentences, dict(tables(space, sentences)), archs)


@pytest.mark.parametrize("make", [mobilenetv3_like, proxyless_like])
def test_large_spaces(make: Callable[[], ModelSpace]) -> None:
    space = make()
    costs = tables(space, (1, 3, 224, 224))
    rng = np.random.default_rng(1)
    archs = [space.sample(rng) for _ in range(3)]
    assert_exact(space, (1, 3, 224, 224), dict(costs), archs)
    # Small tables: the joint one would have 10^17 cells and more.
    assert sum(table.size for table in costs["macs"].tables.values()) < 5000


@torch.library.custom_op("hwnas_tables::opaque", mutates_args=())
def opaque(x: Tensor) -> Tensor:
    return torch.from_numpy(x.numpy() * 2)


def test_an_operator_without_a_fake_kernel_is_named() -> None:
    def setup(net: Any) -> None:
        net.conv = hs.nn.Conv2d(3, Choice([3, 4], label="width"), 1)

    space = space_of(setup, lambda net, x: opaque(net.conv(x)))
    before, kept = state_of(space.template)
    for metrics in (None, ["peak_activation_bytes"]):
        for _ in range(2):  # Nothing is left over that the second time would meet.
            with pytest.raises(
                CostError,
                match=r"'hwnas_tables::opaque' in \w+ has no fake.*register_fake\('hwnas",
            ):
                cost_tables(space, (1, 3, 4, 4), metrics)
            assert state_of(space.template)[0] == before
    assert cost_tables(space, metrics=["params"])["params"](space.default()) > 0
    assert kept


@pytest.mark.parametrize("value", [-1, "raises"])
def test_a_leaf_cost_that_fails_leaves_the_template_as_it_was(value: Any) -> None:
    def cost(module: Any, args: Any, kwargs: Any, output: Any) -> dict[str, Any]:
        return {"macs": int(value)}

    space = SPACES["mobilenet"]()
    before, kept = state_of(space.template)
    for kind in (nn.Conv2d, nn.Linear):
        with pytest.raises(CostError, match=r"leaf cost of|ValueError: invalid literal"):
            cost_tables(space, INPUT, leaf_costs={kind: cost})
        assert state_of(space.template)[0] == before
    tables(space, INPUT)
    assert kept


def test_a_forward_that_fails_says_where() -> None:
    def setup(net: Any) -> None:
        net.conv = hs.nn.Conv2d(3, Choice([3, 4], label="width"), 1)
        net.head = nn.Linear(5, 5)

    space = space_of(setup, lambda net, x: net.head(net.conv(x)))
    with pytest.raises(CostError, match=r"forward fails in module 'head' \(Linear\)"):
        cost_tables(space, (1, 3, 4, 4))


def test_keyword_arguments() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = Choice([4, 6], label="width")
            self.one = hs.nn.Linear(8, width)
            self.two = hs.nn.Linear(5, width)

        def forward(self, x: Tensor, *, y: Tensor, times: int, how: str) -> Tensor:
            out = self.one(x) + self.two(y)
            for _ in range(times):
                out = getattr(out, how)()
            return out

    for build in (ModelSpace(Net), FunctionSpace({"width": [4, 6]}, lambda arch: Fixed(**arch))):
        for y in (torch.randn(2, 5), (2, 5)):
            inputs = ((2, 8), {"y": y, "times": 2, "how": "tanh"})
            assert_exact(build, inputs, dict(tables(build, inputs)))
    with pytest.raises(CostError, match="missing 2 required keyword-only arguments"):
        cost_tables(ModelSpace(Net), ((2, 8), {"y": (2, 5)}))


class Fixed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.one = nn.Linear(8, width)

    def forward(self, x: Tensor, *, y: Tensor, times: int, how: str) -> Tensor:
        return getattr(self.one(x), how)()  # type: ignore[no-any-return]


def test_what_tables_cannot_follow_is_traced_and_says_why() -> None:
    def setup(net: Any) -> None:
        net.conv = hs.nn.Conv2d(3, Choice([3, 4], label="width"), 1)
        net.more = nn.ModuleList(
            LayerChoice([nn.Identity, nn.ReLU], label=f"op{i}") for i in range(6)
        )

    def forward(net: Any, x: Tensor) -> Tensor:
        x = net.conv(x)
        for op in net.more:
            x = op(x)
        x.unsqueeze_(0)
        return x

    space = space_of(setup, forward)
    costs = cost_tables(space, (1, 3, 4, 4), ["macs"])
    assert isinstance(costs["macs"], TracedCost)
    assert "unsqueeze_" in costs["macs"].reason
    assert_exact(space, (1, 3, 4, 4), costs)


def test_a_function_space_is_traced_or_tabulated() -> None:
    def build(arch: Any) -> nn.Module:
        layers = [nn.Linear(8, arch["width"])]
        return nn.Sequential(*layers, *([nn.Linear(arch["width"], 2)] if arch["head"] else []))

    small = FunctionSpace({"width": [2, 4], "head": [True, False]}, build)
    costs = cost_tables(small, (1, 8), counting=Counting.nni())
    assert isinstance(costs["macs"], CostTable)
    assert_exact(small, (1, 8), costs, list(small.enumerate()))
    large = FunctionSpace({"width": list(range(1, 99)), "head": [True, False]}, build)
    traced = cost_tables(large, (1, 8), counting=Counting.nni())
    assert isinstance(traced["macs"], TracedCost)
    assert "no template" in traced["macs"].reason
    assert_exact(large, (1, 8), traced)


def _adds_a_module(layer: Any) -> None:
    layer.after = nn.Linear(5, 5)


def _sets_an_attribute(layer: Any) -> None:
    layer.note = "mine"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_adds_a_module, "adds modules to an open layer"),
        (_sets_an_attribute, "sets 'note' of an open layer"),
    ],
)
def test_an_open_layer_that_the_constructor_changes_is_traced(change: Any, reason: str) -> None:
    def setup(net: Any) -> None:
        net.conv = hs.nn.Conv2d(3, Choice(range(1, 71), label="width"), 1)
        change(net.conv)

    space = space_of(setup, lambda net, x: net.conv(x))
    costs = cost_tables(space, (1, 3, 4, 4), counting=Counting.nni())
    for cost in costs.values():
        assert isinstance(cost, TracedCost)
        assert reason in cost.reason
    assert_exact(space, (1, 3, 4, 4), costs)


def state_of(root: nn.Module) -> tuple[object, dict[str, object]]:
    """What `root` and the process-wide switches hold, down to the identity of each object.

    Containers are copied, so that what is put into them later is seen; the second part keeps all
    objects alive, so that no two of them can have one identity.
    """
    kept: dict[str, object] = {}

    def held(value: Any, path: str) -> object:
        kept[path] = value
        if isinstance(value, dict):
            return "dict", [(str(k), held(v, f"{path}.{k}")) for k, v in value.items()]
        if isinstance(value, list | tuple | set):
            return type(value), [held(v, f"{path}.{i}") for i, v in enumerate(value)]
        if isinstance(value, Tensor):
            return id(value), value.shape, value.device, value.dtype, value.requires_grad
        return id(value), type(value)

    modules = [
        (name, type(module), held(vars(module), name)) for name, module in root.named_modules()
    ]
    switches = (
        torch.backends.mha.get_fastpath_enabled(),
        torch.backends.mkldnn.enabled,
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.math_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
        logging.getLogger("torch._subclasses.fake_tensor").level,
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.overrides._get_current_function_mode() is None,
        torch.utils._python_dispatch._get_current_dispatch_mode() is None,
    )
    return (modules, switches), kept


@pytest.mark.parametrize(
    "name", ["chain", "mobilenet", "bench_cell", "darts", "transformer", "nested"]
)
def test_a_template_is_left_as_it_was(name: str) -> None:
    space = SPACES[name]()
    before, kept = state_of(space.template)
    tables(space, INPUT)
    assert state_of(space.template)[0] == before
    with pytest.raises(CostError):
        cost_tables(space, (1, 99, 3, 5))
    assert state_of(space.template)[0] == before
    assert kept


@pytest.mark.parametrize("fails", [False, True])
def test_a_template_is_left_as_it_was_whatever_its_forward_does(fails: bool) -> None:
    def setup(net: Any) -> None:
        net.seen = []
        net.conv = hs.nn.Conv2d(3, Choice([3, 4], label="width"), 1)
        net.norm = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        net.norm.register_forward_hook(lambda module, inputs, output: None)

    def forward(net: Any, x: Tensor) -> Tensor:
        net.seen.append(1)
        net.count = 1
        net.norm[1].running_mean = torch.zeros(3)
        if fails:
            raise KeyError("nothing to see")
        return net.conv(net.norm(x))

    space = space_of(setup, forward)
    before, kept = state_of(space.template)
    if fails:
        with pytest.raises(CostError, match="KeyError"):
            cost_tables(space, (1, 3, 4, 4))
    else:
        cost_tables(space, (1, 3, 4, 4))
    assert state_of(space.template)[0] == before
    assert space.template.seen == []
    assert kept


def test_an_arch_that_is_not_canonical_is_an_error() -> None:
    space = SPACES["mobilenet"]()
    cost = tables(space, INPUT)["macs"]
    arch = space.default()
    for wrong in (
        {**arch, "nonsense": 1},
        {k: v for k, v in arch.items() if k != "width1"},
        {**arch, "width1": 5},
        {**arch, "stage1.2.kernel": 3},
    ):
        with pytest.raises(ArchError):
            cost(wrong)
    encoded = space.encode([arch, arch])
    encoded[1, 0] = -1
    with pytest.raises(ArchError):
        cost.evaluate(encoded)
    with pytest.raises(ArchError, match="shape"):
        cost.evaluate(encoded[:, 1:])
    encoded[1, 0] = 99
    with pytest.raises(ArchError):
        cost.evaluate(encoded)


def test_unknown_metrics() -> None:
    with pytest.raises(CostError, match="'latency' is not a static cost"):
        cost_tables(SPACES["chain"](), INPUT, ["latency"])


@st.composite
def random_spaces(draw: st.DrawFn) -> ModelSpace:
    """Chains of blocks of random kinds; widths, kernels and depths are shared or not."""
    labels = st.sampled_from(["a", "b", "c"])
    plan = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["conv", "choice", "repeat", "skip", "branch", "input"]),
                labels,
                labels,
            ),
            min_size=1,
            max_size=4,
        )
    )

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers = []
            width: Any = 3
            for i, (kind, one, two) in enumerate(plan):
                block, width = self.block(kind, width, one, two, i)
                layers.append(block)
            self.layers = nn.ModuleList(layers)

        def block(self, kind: str, width: Any, one: str, two: str, i: int) -> tuple[nn.Module, Any]:
            new = Choice([2, 4], label=f"width.{one}")
            kernel = Choice([1, 3], label=f"kernel.{two}")
            if kind == "conv":
                return hs.nn.Conv2d(width, new, kernel, padding="same"), new
            if kind == "choice":
                wide = Choice([0, 1], label=f"op.{one}{i}")
                ops = [
                    lambda: hs.nn.Conv2d(width, 2, kernel, padding="same"),
                    lambda: nn.Sequential(hs.nn.Conv2d(width, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 1)),
                ]
                return LayerChoice(ops, label=f"op.{one}{i}"), 2 + 4 * (wide == 1)
            if kind == "repeat":
                depth = Choice([0, 1, 2], label=f"depth.{one}")
                return Repeat(
                    lambda j: hs.nn.Conv2d(
                        width, width, Choice([1, 3], label=f"k.{i}.{j}"), padding="same"
                    ),
                    depth,
                ), width
            if kind == "skip":
                return Skip(hs.nn.Conv2d(width, width, kernel, padding="same")), width
            if kind == "branch":
                return LayerChoice(
                    [nn.Identity, lambda: self.block("repeat", width, two, one, i + 10)[0]],
                    label=f"branch.{i}",
                ), width
            return Pick(hs.nn.Conv2d(width, width, 1), f"input.{two}"), width

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers:
                x = layer(x)
            return x if x.shape[1] == 4 else x.mean((2, 3))

    return ModelSpace(Net)


class Skip(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Pick(nn.Module):
    def __init__(self, inner: nn.Module, label: str) -> None:
        super().__init__()
        self.inner = inner
        self.pick = InputChoice(2, None, label=label)

    def forward(self, x: Tensor) -> Tensor:
        return self.pick([x, self.inner(x)])


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(random_spaces(), st.integers(0, 2**32))
def test_random_spaces(space: ModelSpace, seed: int) -> None:
    costs = tables(space, (1, 3, 4, 4))
    rng = np.random.default_rng(seed)
    archs = [space.sample(rng) for _ in range(4)]
    assert_exact(space, (1, 3, 4, 4), dict(costs), archs)
    everything = list(space.enumerate()) if space.size() <= 2000 else None
    for cost in costs.values():
        values = cost.evaluate(space.encode(everything or archs))
        (least, low), (most, high) = cost.minimum(), cost.maximum()
        assert least <= values.min() <= values.max() <= most
        assert (cost(low), cost(high)) == (least, most)
        if everything:
            assert (values.min(), values.max()) == (least, most)
            if not isinstance(cost, CostTable):
                continue  # A maximum has no expectation.
            weights = [
                np.prod([1 / len(space.decision(label).choices) for label in arch])
                for arch in everything
            ]
            assert np.isclose(cost.expectation({}).item(), weights @ values)
