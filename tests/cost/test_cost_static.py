"""Static costs: exact for whatever runs, and the model is left as it was."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from cost_modules import Call, First, SelfAttention, Twice
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from hwnas.cost import Counting, flops_meaning, static_costs
from hwnas.errors import CostError


def conv(c_in: int, c_out: int, kernel: int) -> nn.Module:
    return nn.Conv2d(c_in, c_out, kernel, padding="same")


def test_the_published_figures_of_the_mnist_tutorial() -> None:
    """Its page gives the range of the space's FLOPs, biases included, and its target is 0.8 M."""
    flops = []
    for k1, f1, k2, f2 in itertools.product((3, 5), (3, 4, 5), (3, 5), (6, 8, 10)):
        head = nn.Linear(28 * 28 * f2, 10)
        net = nn.Sequential(conv(1, f1, k1), nn.ReLU(), conv(f1, f2, k2), nn.Flatten(), head)
        flops.append(
            static_costs(net, (1, 1, 28, 28), ["flops"], counting=Counting(bias=True))["flops"]
        )
    assert len(flops) == 36
    assert (min(flops), max(flops)) == (397_498, 2_324_570)
    assert sum(value <= 800_000 for value in flops) == 14


@pytest.mark.parametrize(
    ("model", "shape", "macs"),
    [
        (nn.Linear(8, 5), (2, 8), 2 * 8 * 5),
        (nn.Conv2d(4, 6, 3, padding=1), (2, 4, 8, 8), 2 * 64 * 6 * 4 * 9),
        (nn.Conv2d(4, 8, 3, groups=4), (1, 4, 8, 8), 36 * 8 * 9),
        (Twice(nn, 8, tied=True), (2, 8), 3 * 2 * 64),
        # Projections, then 4 heads of 6 x 6 scores and their weighted sum, batch of 2.
        (SelfAttention(nn, 16, False), (2, 6, 16), 2 * (6 * 16 * 64 + 2 * 4 * 36 * 4)),
        (First(nn.LSTM(16, 8, batch_first=True)), (2, 6, 16), 12 * 32 * (16 + 8)),
    ],
)
def test_macs_by_hand(model: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    assert static_costs(model, shape, ["macs"]) == {"macs": macs}


def called(function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> nn.Module:
    return Call(function, *(nn.Parameter(torch.randn(shape)) for shape in shapes))


@pytest.mark.parametrize(
    ("model", "shape", "biases"),
    [
        (nn.Linear(8, 5), (2, 8), 10),
        (nn.Linear(8, 5, bias=False), (2, 8), 0),
        (nn.Linear(16, 5), (2, 6, 16), 60),
        (called(lambda x, w, b: F.linear(x.transpose(0, 1), w, b), (5, 16), (5,)), (2, 6, 16), 60),
        (called(lambda x, w, b: F.linear(x.mT, w, b), (5, 8), (5,)), (2, 3, 8, 8), 240),
        (nn.Conv2d(4, 6, 3, padding="same"), (2, 4, 8, 8), 2 * 6 * 64),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, bias=False), (2, 4, 8, 8), 0),
        (called(F.conv2d, (6, 4, 3, 3), (6,)), (1, 4, 8, 8), 6 * 36),
        (called(lambda x, w, b: torch.addmm(b, x, w), (8, 5), (5,)), (2, 8), 10),
        (called(lambda x, b: torch.baddbmm(b, x, x.mT), (1, 6)), (2, 6, 16), 72),
        (nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU()), (2, 8), 16),
        (SelfAttention(nn, 16, True), (2, 6, 16), 12 * 64),
    ],
)
def test_biases_are_counted_on_demand(
    model: nn.Module, shape: tuple[int, ...], biases: int
) -> None:
    exact = static_costs(model, shape)
    counted = static_costs(model, shape, counting=Counting(bias=True))
    assert counted["flops"] - exact["flops"] == biases
    assert counted["macs"] == exact["macs"]


@pytest.mark.parametrize(
    ("model", "shape", "extra"),
    [
        (nn.BatchNorm2d(4), (2, 4, 3, 3), {"normalization": 4 * 72}),
        (nn.BatchNorm1d(4, affine=False), (2, 4), {"normalization": 2 * 8}),
        (nn.BatchNorm3d(4, track_running_stats=False), (1, 4, 2, 2, 2), {"normalization": 4 * 32}),
        (called(lambda x, m: F.batch_norm(x, m, m), (4,)), (2, 4), {"normalization": 2 * 8}),
        (nn.InstanceNorm2d(4, affine=True), (2, 4, 3, 3), {}),
        (nn.LayerNorm(4), (2, 4), {}),
        (nn.GroupNorm(2, 4), (2, 4), {}),
        (nn.ReLU(), (2, 4), {"activation": 8}),
        (nn.ReLU6(inplace=True), (2, 4), {"activation": 8}),
        (nn.ELU(), (2, 4), {"activation": 8}),
        (nn.Sigmoid(), (2, 4), {"activation": 8}),
        (nn.Tanh(), (2, 4), {"activation": 8}),
        (nn.Hardtanh(), (2, 4), {"activation": 8}),
        (nn.LeakyReLU(), (2, 4), {"activation": 8}),
        (called(lambda x: F.relu(x).tanh_()), (2, 4), {"activation": 16}),
        (called(lambda x: F.relu(x.transpose(0, 1))), (2, 4), {"activation": 8}),
        (nn.Sequential(nn.GELU(), nn.SiLU(), nn.SELU(), nn.Hardswish(), nn.Softmax(1)), (2, 4), {}),
        (First(nn.LSTM(4, 3)), (1, 4), {"bias": 2 * 12, "activation": 5 * 3}),
    ],
)
def test_operations_that_are_no_multiply_accumulates(
    model: nn.Module, shape: tuple[int, ...], extra: dict[str, int]
) -> None:
    """Each kind is counted where it is asked for, and nothing else is."""
    macs = static_costs(model, shape, ["macs"])["macs"]
    for kind in ("bias", "normalization", "activation"):
        for per_mac in (1, 2):
            counting = Counting(per_mac, **{kind: True})  # type: ignore[arg-type]
            flops = static_costs(model, shape, ["flops"], counting=counting)["flops"]
            assert flops == per_mac * macs + extra.get(kind, 0)


def test_what_flops_count_is_said() -> None:
    assert flops_meaning(Counting()) == "2 x MACs"
    assert flops_meaning(Counting(bias=True)) == "2 x MACs + biases"
    assert flops_meaning(Counting.nni()) == "MACs + biases + batch norms + activations"
    with pytest.raises(CostError, match="per_mac is 1 or 2, not 3"):
        Counting(3)  # type: ignore[arg-type]


def test_inputs_are_tensors_or_shapes() -> None:
    model = nn.Bilinear(4, 5, 6)
    one, two = torch.randn(2, 4), torch.randn(2, 5)
    expected = static_costs(model, (one, two))
    assert static_costs(model, ((2, 4), (2, 5))) == expected
    assert static_costs(model, [one, (2, 5)]) == expected
    assert static_costs(nn.Embedding(9, 4), torch.zeros(2, 3, dtype=torch.long))["params"] == 36
    assert static_costs(nn.Linear(8, 2), torch.randn(3, 8)) == static_costs(nn.Linear(8, 2), (3, 8))


class Keyed(nn.Module):
    """Takes tensors and plain values by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)
        self.other = nn.Linear(6, 4)

    def forward(
        self, x: Tensor, *, y: Tensor | None = None, times: int = 1, parts: Any = (), how: str = ""
    ) -> Tensor:
        for _ in range(times):
            out = self.linear(x)
        if y is not None:
            out = out + self.other(y)
        for part in parts:
            out = out + self.linear(part)
        return out.relu() if how == "relu" else out


def test_a_dict_at_the_end_holds_keyword_arguments() -> None:
    model, one, two = Keyed(), torch.randn(2, 8), torch.randn(2, 6)
    nni = Counting.nni()

    def macs(inputs: Any) -> float:
        return static_costs(model, inputs, ["macs"])["macs"]

    assert macs((one, {})) == macs(one) == 64
    assert macs((one, {"y": two})) == macs(((2, 8), {"y": (2, 6)})) == 64 + 48
    assert macs({"x": one, "y": [2, 6]}) == 64 + 48
    assert macs([one, {"times": 3, "y": None}]) == 3 * 64
    assert macs((one, {"parts": [one, one]})) == 3 * 64
    assert macs((one, {"parts": []})) == 64
    assert static_costs(model, (one, {"how": "relu"}), ["flops"], counting=nni)["flops"] == 80
    peak = ["peak_activation_bytes"]
    inner = static_costs(model, (one, {"y": two}), peak)["peak_activation_bytes"]
    assert inner >= one.nbytes + two.nbytes


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (({"y": (2, 6)}, (2, 8)), "only the last is a dict"),
        (((2, 8), "relu"), "not str; other values go into a dict of keyword arguments"),
        (((2, 8), {1: (2, 6)}), "keyword arguments have names, and 1 is none"),
        (((2, 8), {"y": (2, -6)}), r"no size below 0: \(2, -6\)"),
        (((2, 8), {"z": 1}), "fails in Keyed: TypeError: .*unexpected keyword argument 'z'"),
        (2, "inputs are tensors and shapes, not int"),
    ],
)
def test_inputs_that_make_no_sense(inputs: Any, message: str) -> None:
    with pytest.raises(CostError, match=message):
        static_costs(Keyed(), inputs)


def test_weight_bytes_follow_the_type() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)).half()
    costs = static_costs(model, (1, 4, 8, 8))
    assert costs["weight_bytes"] == 2 * costs["params"]


def test_params_need_no_input() -> None:
    assert static_costs(nn.Linear(8, 2), metrics=["params", "weight_bytes"]) == {
        "params": 18,
        "weight_bytes": 72,
    }
    with pytest.raises(CostError, match="need an input"):
        static_costs(nn.Linear(8, 2))


def test_a_model_larger_than_memory_costs_nothing() -> None:
    with torch.device("meta"):
        model = nn.Linear(1 << 20, 1 << 20)
    assert static_costs(model, (1 << 20, 1 << 20))["macs"] == 1 << 60


class Fails(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("nothing to see")


@torch.library.custom_op("hwnas_test::opaque", mutates_args=())
def opaque(x: Tensor) -> Tensor:
    return torch.from_numpy(x.numpy() * 2)


@pytest.mark.parametrize("last", [nn.Identity(), Fails()])
def test_the_model_is_left_as_it_was(last: nn.Module) -> None:
    calls: list[str] = []
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.ReLU(), last))
    model[1].eval()
    model[0].register_forward_hook(lambda module, inputs, output: calls.append("called"))
    tensors = {key: (value, value.clone()) for key, value in model.state_dict().items()}
    parameters = dict(model.named_parameters())
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    flags = [m.training for m in model.modules()]
    switches = (torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled)

    if isinstance(last, Fails):
        with pytest.raises(CostError, match=r"module '2.1' \(Fails\) of Sequential: KeyError"):
            static_costs(model, (2, 3, 8, 8))
    else:
        static_costs(model, (2, 3, 8, 8))

    assert all(parameters[name] is value for name, value in model.named_parameters())
    for key, value in model.state_dict().items():
        assert value.data_ptr() == tensors[key][0].data_ptr()
        assert torch.equal(value, tensors[key][1])
    assert [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()] == hooks
    assert [m.training for m in model.modules()] == flags
    assert (torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled) == switches


def test_an_operator_without_a_fake_kernel_is_named() -> None:
    library = torch.library.Library("hwnas_test", "FRAGMENT")
    library.define("older(Tensor x) -> Tensor")
    library.impl("older", lambda x: x + 1, "CPU")
    for operator in (opaque, torch.ops.hwnas_test.older):
        model = nn.Sequential(nn.Linear(8, 8), Call(lambda x, operator=operator: operator(x)))
        with pytest.raises(
            CostError, match=r"'hwnas_test::\w+' in module '1' \(Call\).*register_fake\('hwnas_test"
        ):
            static_costs(model, (2, 8))


def test_an_operator_with_a_fake_kernel_and_a_formula_counts() -> None:
    @torch.library.custom_op("hwnas_test::square", mutates_args=())
    def square(x: Tensor) -> Tensor:
        return x @ x

    square.register_fake(torch.empty_like)

    @register_flop_formula(torch.ops.hwnas_test.square)
    def formula(shape: tuple[int, int], *, out_shape: object = None) -> int:
        return 2 * shape[0] ** 3

    assert static_costs(Call(lambda x: square(x)), (8, 8))["macs"] == 512


def test_a_shape_that_does_not_fit_names_the_module() -> None:
    with pytest.raises(CostError, match=r"fails in module '1' \(Linear\) of Sequential"):
        static_costs(nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), (2, 8))


def test_a_module_without_a_forward_is_an_error() -> None:
    with pytest.raises(CostError, match="fails in ModuleList: NotImplementedError"):
        static_costs(nn.ModuleList(), (2, 8))


def test_a_forward_that_looks_at_data_is_an_error() -> None:
    with pytest.raises(CostError, match="fails in Call"):
        static_costs(Call(lambda x: x if x.sum() > 0 else -x), (2, 8))


def test_a_lazy_module_must_have_run() -> None:
    with pytest.raises(CostError, match="has no shape yet"):
        static_costs(nn.LazyLinear(3), (2, 8))


def test_unknown_metrics_and_inputs() -> None:
    with pytest.raises(CostError, match="'latency' is not a static cost"):
        static_costs(nn.Linear(8, 2), (2, 8), ["latency"])
    with pytest.raises(CostError, match="inputs are tensors and shapes"):
        static_costs(nn.Linear(8, 2), ["x"])  # type: ignore[list-item]
