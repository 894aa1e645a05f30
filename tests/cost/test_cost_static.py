"""Static costs: exact for whatever runs, and the model is left as it was."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

from hwnas.cost import static_costs
from hwnas.errors import CostError


def conv(c_in: int, c_out: int, kernel: int) -> nn.Module:
    return nn.Conv2d(c_in, c_out, kernel, padding="same")


def test_the_published_figures_of_the_mnist_tutorial() -> None:
    """Its page gives the range of the space's FLOPs, biases included, and its target is 0.8 M."""
    flops = []
    for k1, f1, k2, f2 in itertools.product((3, 5), (3, 4, 5), (3, 5), (6, 8, 10)):
        head = nn.Linear(28 * 28 * f2, 10)
        net = nn.Sequential(conv(1, f1, k1), nn.ReLU(), conv(f1, f2, k2), nn.Flatten(), head)
        flops.append(static_costs(net, (1, 1, 28, 28), ["flops"], count_bias=True)["flops"])
    assert len(flops) == 36
    assert (min(flops), max(flops)) == (397_498, 2_324_570)
    assert sum(value <= 800_000 for value in flops) == 14


class Call(nn.Module):
    """A functional form as a module, with the tensors it needs as parameters."""

    def __init__(self, function: object, *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        self.tensors = nn.ParameterList(torch.randn(shape) for shape in shapes)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs, *self.tensors)  # type: ignore[operator,no-any-return]


class First(nn.Module):
    """The first output of a module with several."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[0]  # type: ignore[no-any-return]


class SelfAttention(nn.Module):
    def __init__(self, need_weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=self.need_weights)[0]  # type: ignore[no-any-return]


class Shared(nn.Module):
    """One layer called twice, a bare parameter, and a layer that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(8, 8)
        self.bare = nn.Parameter(torch.zeros(8))
        self.unused = nn.Conv2d(3, 5, 3)
        self.tied = nn.Linear(8, 8)
        self.tied.weight = self.twice.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.tied(self.twice(self.twice(x))) + self.bare


class Constant(nn.Module):
    """A constant made in the forward on the CPU, which the meta device does not know."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x + torch.arange(8.0))  # type: ignore[no-any-return]


class AttendsToItself(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x)


IMAGE, TOKENS, VECTOR = (2, 4, 8, 8), (2, 6, 16), (2, 8)
CASES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "Conv1d": (nn.Conv1d(4, 6, 3), (2, 4, 9)),
    "Conv2d": (nn.Conv2d(4, 6, 3, padding=1), IMAGE),
    "Conv2d stride dilation": (nn.Conv2d(4, 6, 3, stride=2, dilation=2), IMAGE),
    "Conv2d groups": (nn.Conv2d(4, 8, 3, groups=4, bias=False), IMAGE),
    "Conv2d same": (nn.Conv2d(4, 6, 4, padding="same"), IMAGE),
    "Conv2d reflect": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), IMAGE),
    "Conv3d": (nn.Conv3d(2, 3, 3), (1, 2, 5, 5, 5)),
    "ConvTranspose1d": (nn.ConvTranspose1d(4, 6, 3), (2, 4, 9)),
    "ConvTranspose2d": (nn.ConvTranspose2d(4, 6, 3, stride=2), IMAGE),
    "ConvTranspose2d groups": (nn.ConvTranspose2d(4, 6, 3, groups=2), IMAGE),
    "Linear": (nn.Linear(8, 5), VECTOR),
    "Linear on tokens": (nn.Linear(16, 5), TOKENS),
    "Linear on images": (nn.Linear(8, 5), IMAGE),
    "BatchNorm1d": (nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)), VECTOR),
    "BatchNorm2d": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)), IMAGE),
    "GroupNorm": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.GroupNorm(2, 4)), IMAGE),
    "InstanceNorm2d": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.InstanceNorm2d(4)), IMAGE),
    "LayerNorm": (nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16)), TOKENS),
    "RMSNorm": (nn.Sequential(nn.Linear(16, 16), nn.RMSNorm(16)), TOKENS),
    "Embedding": (nn.Sequential(nn.Flatten(), nn.Linear(256, 3)), IMAGE),
    "Dropout": (nn.Sequential(nn.Dropout(), nn.Linear(8, 3)), VECTOR),
    "MaxPool1d": (nn.Sequential(nn.Conv1d(4, 4, 3), nn.MaxPool1d(2)), (2, 4, 9)),
    "MaxPool2d ceil": (
        nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(4, 4, 1)),
        IMAGE,
    ),
    "AvgPool2d": (nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(4, 4, 3)), IMAGE),
    "AdaptiveAvgPool2d": (nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Conv2d(4, 4, 3)), IMAGE),
    "Upsample": (nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3)), IMAGE),
    "PixelShuffle": (nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(1, 4, 3)), IMAGE),
    "PReLU": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.PReLU(4)), IMAGE),
    "Softmax": (nn.Sequential(nn.Linear(8, 4), nn.Softmax(-1)), VECTOR),
    "LSTM": (First(nn.LSTM(16, 8, 2, batch_first=True, bidirectional=True)), TOKENS),
    "GRU": (First(nn.GRU(16, 8, batch_first=True)), TOKENS),
    "RNN": (First(nn.RNN(16, 8, batch_first=True)), TOKENS),
    "MultiheadAttention": (SelfAttention(True), TOKENS),
    "MultiheadAttention fused": (SelfAttention(False), TOKENS),
    "TransformerEncoderLayer": (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), TOKENS),
    "TransformerEncoder": (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2),
        TOKENS,
    ),
    "F.linear": (Call(F.linear, (5, 8), (5,)), VECTOR),
    "F.conv2d": (Call(F.conv2d, (6, 4, 3, 3)), IMAGE),
    "matmul": (Call(torch.matmul, (16, 7)), TOKENS),
    "batched matmul": (Call(lambda x: x @ x.transpose(1, 2)), TOKENS),
    "einsum": (Call(lambda x, w: torch.einsum("bij,jk->bik", x, w), (16, 7)), TOKENS),
    "sdpa": (Call(lambda x: F.scaled_dot_product_attention(x, x, x)), (2, 3, 6, 16)),
    "causal sdpa": (
        Call(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True)),
        (2, 3, 6, 16),
    ),
    "addmm": (Call(lambda x, w, b: torch.addmm(b, x, w), (8, 5), (5,)), VECTOR),
    "arithmetic": (Call(lambda x, w, b: (x - b) / 2 * 0.5 @ w, (8, 5), (8,)), VECTOR),
    "chunk and stack": (
        Call(lambda x, w: torch.stack([a @ w for a in x.chunk(2, -1)]), (4, 5)),
        VECTOR,
    ),
    "shared, bare and unused": (Shared(), VECTOR),
    "constant on the CPU": (Constant(nn.Linear(8, 4)), VECTOR),
    "constant and norm": (Constant(nn.BatchNorm1d(8), nn.Linear(8, 4)), VECTOR),
    "constant and LSTM": (First(Constant(nn.LSTM(8, 4))), (2, 3, 8)),
    "constant and attention": (Constant(AttendsToItself()), (2, 3, 5, 8)),
    "no parameters": (nn.ReLU(), VECTOR),
    "parametrized": (nn.utils.parametrizations.weight_norm(nn.Linear(8, 5)), VECTOR),
    "spectral norm": (nn.utils.parametrizations.spectral_norm(nn.Linear(8, 5)), VECTOR),
}
CASES |= {
    kind.__name__: (nn.Sequential(nn.Conv2d(4, 4, 3), kind()), IMAGE)
    for kind in (
        *(nn.ReLU, nn.ReLU6, nn.ELU, nn.SiLU, nn.GELU, nn.Mish, nn.Tanh, nn.Sigmoid),
        *(nn.LeakyReLU, nn.Hardswish, nn.Hardsigmoid, nn.Softplus),
    )
}


@pytest.fixture
def countable_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kernels that PyTorch's counter can see, for real arithmetic."""
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with sdpa_kernel(SDPBackend.MATH):
        yield
    torch.backends.mha.set_fastpath_enabled(fast)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("countable_kernels")
def test_macs_and_params_are_exact(name: str) -> None:
    model, shape = CASES[name]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copy.deepcopy(model).eval()(torch.randn(shape))
    unique = {id(parameter): parameter for parameter in model.parameters()}.values()
    assert static_costs(model, shape) == {
        "macs": counter.get_total_flops() / 2,
        "flops": counter.get_total_flops(),
        "params": sum(parameter.numel() for parameter in unique),
        "weight_bytes": 4 * sum(parameter.numel() for parameter in unique),
    }


@pytest.mark.parametrize(
    ("model", "shape", "macs"),
    [
        (nn.Linear(8, 5), (2, 8), 2 * 8 * 5),
        (nn.Conv2d(4, 6, 3, padding=1), (2, 4, 8, 8), 2 * 64 * 6 * 4 * 9),
        (nn.Conv2d(4, 8, 3, groups=4), (1, 4, 8, 8), 36 * 8 * 9),
        (Shared(), (2, 8), 3 * 2 * 64),
        # Projections, then 4 heads of 6 x 6 scores and their weighted sum, batch of 2.
        (SelfAttention(False), (2, 6, 16), 2 * (6 * 16 * 64 + 2 * 4 * 36 * 4)),
        (First(nn.LSTM(16, 8, batch_first=True)), (2, 6, 16), 12 * 32 * (16 + 8)),
    ],
)
def test_macs_by_hand(model: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    assert static_costs(model, shape, ["macs"]) == {"macs": macs}


@pytest.mark.parametrize(
    ("model", "shape", "biases"),
    [
        (nn.Linear(8, 5), (2, 8), 10),
        (nn.Linear(8, 5, bias=False), (2, 8), 0),
        (nn.Linear(16, 5), (2, 6, 16), 60),
        (Call(lambda x, w, b: F.linear(x.transpose(0, 1), w, b), (5, 16), (5,)), (2, 6, 16), 60),
        (Call(lambda x, w, b: F.linear(x.mT, w, b), (5, 8), (5,)), (2, 3, 8, 8), 240),
        (nn.Conv2d(4, 6, 3, padding="same"), (2, 4, 8, 8), 2 * 6 * 64),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, bias=False), (2, 4, 8, 8), 0),
        (Call(F.conv2d, (6, 4, 3, 3), (6,)), (1, 4, 8, 8), 6 * 36),
        (Call(lambda x, w, b: torch.addmm(b, x, w), (8, 5), (5,)), (2, 8), 10),
        (Call(lambda x, b: torch.baddbmm(b, x, x.mT), (1, 6)), (2, 6, 16), 72),
        (nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU()), (2, 8), 16),
        (SelfAttention(True), (2, 6, 16), 12 * 64),
    ],
)
def test_biases_are_counted_on_demand(
    model: nn.Module, shape: tuple[int, ...], biases: int
) -> None:
    exact = static_costs(model, shape)
    counted = static_costs(model, shape, count_bias=True)
    assert counted["flops"] - exact["flops"] == biases
    assert counted["macs"] == exact["macs"]


def test_inputs_are_tensors_or_shapes() -> None:
    model = nn.Bilinear(4, 5, 6)
    one, two = torch.randn(2, 4), torch.randn(2, 5)
    expected = static_costs(model, (one, two))
    assert static_costs(model, ((2, 4), (2, 5))) == expected
    assert static_costs(model, [one, (2, 5)]) == expected
    assert static_costs(nn.Embedding(9, 4), torch.zeros(2, 3, dtype=torch.long))["params"] == 36
    assert static_costs(nn.Linear(8, 2), torch.randn(3, 8)) == static_costs(nn.Linear(8, 2), (3, 8))


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
