"""Ordinary modules and functions of PyTorch, each as a small network; for tests and benchmarks.

A case is made from `layers` (`torch.nn`, or `hwnas.space.nn` where the width is a choice; both with
`parameter`) and the width of its input. It knows nothing of hwnas, so that other tools can be asked
about the same networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Case:
    """A network, and the kind of input that it takes."""

    kind: str
    make: Callable[[Any, Any], nn.Module]

    def shape(self, width: int, size: int, batch: int = 2) -> tuple[int, ...]:
        """The input: `width` channels or features, `size` places along each other dimension."""
        if self.kind in ("vector", "tokens"):
            return (batch, size, width) if self.kind == "tokens" else (batch, width)
        dimensions = ("sequence", "image", "volume").index(self.kind) + 1
        return (batch, width, *dimensions * (size,))


class Call(nn.Module):
    """A function as a module, with the tensors that it needs as parameters."""

    def __init__(self, function: Callable[..., Any], *tensors: nn.Parameter) -> None:
        super().__init__()
        self.function = function
        self.tensors = nn.ParameterList(tensors)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs, *self.tensors)  # type: ignore[no-any-return]


class First(nn.Module):
    """The first output of a module with several."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[0]  # type: ignore[no-any-return]


class SelfAttention(nn.Module):
    def __init__(self, layers: Any, width: Any, need_weights: bool = True) -> None:
        super().__init__()
        self.attention = layers.MultiheadAttention(width, 4, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=self.need_weights)[0]  # type: ignore[no-any-return]


class Shifted(nn.Module):
    """A bare parameter added to a layer's output."""

    def __init__(self, layers: Any, width: Any) -> None:
        super().__init__()
        self.layer = layers.Linear(width, width)
        self.position = layers.parameter(1, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.position  # type: ignore[no-any-return]


class Twice(nn.Module):
    """One layer called twice, and another with its weight."""

    def __init__(self, layers: Any, width: Any, tied: bool) -> None:
        super().__init__()
        self.twice = layers.Linear(width, width)
        self.last = layers.Linear(width, width)
        if tied:
            self.last.weight = self.twice.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.twice(self.twice(x)))  # type: ignore[no-any-return]


class Unused(nn.Module):
    """A layer that is never called."""

    def __init__(self, layers: Any, width: Any) -> None:
        super().__init__()
        self.layer = layers.Linear(width, 5)
        self.unused = layers.Conv2d(width, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)  # type: ignore[no-any-return]


class Constant(nn.Module):
    """A constant made in the forward on the CPU, which the meta device does not know."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x + torch.arange(8.0))  # type: ignore[no-any-return]


def attend(x: Tensor, causal: bool = False) -> Tensor:
    """Attention of 2 heads to itself: (batch, length, width) in and out."""
    heads = x.unflatten(2, (2, -1)).transpose(1, 2)
    return F.scaled_dot_product_attention(heads, heads, heads, is_causal=causal)


def _conv(make: Callable[[Any, Any], nn.Module]) -> Case:
    """`make`, then a convolution that needs the shape which it gives: (N, width, H, W) before."""
    return Case("image", lambda n, c: nn.Sequential(make(n, c), n.Conv2d(c, 6, 3)))


def _linear(make: Callable[[Any, Any], nn.Module], kind: str = "tokens") -> Case:
    return Case(kind, lambda n, c: nn.Sequential(n.Linear(c, c), make(n, c)))


def _kept(kind: type[nn.Module]) -> Case:
    """An activation."""
    return _conv(lambda n, c: kind())


_ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.ELU, nn.SiLU, nn.GELU, nn.Mish, nn.Tanh, nn.Sigmoid),
    *(nn.LeakyReLU, nn.Hardswish, nn.Hardsigmoid, nn.PReLU),
)

ORDINARY: dict[str, Case] = {
    "Conv1d": Case("sequence", lambda n, c: n.Conv1d(c, 6, 3)),
    "Conv2d": Case("image", lambda n, c: n.Conv2d(c, 6, 3, padding=1)),
    "Conv2d stride dilation": Case("image", lambda n, c: n.Conv2d(c, 6, 3, stride=2, dilation=2)),
    "Conv2d groups": Case("image", lambda n, c: n.Conv2d(c, 2 * c, 3, groups=c, bias=False)),
    "Conv2d same": Case("image", lambda n, c: n.Conv2d(c, 6, 4, padding="same")),
    "Conv3d": Case("volume", lambda n, c: n.Conv3d(c, 3, 3)),
    "ConvTranspose2d": Case("image", lambda n, c: n.ConvTranspose2d(c, 6, 3, stride=2, groups=2)),
    "ConvTranspose3d": Case("volume", lambda n, c: n.ConvTranspose3d(c, 3, 2)),
    "Linear": Case("tokens", lambda n, c: n.Linear(c, 5)),
    "BatchNorm1d": _linear(lambda n, c: n.BatchNorm1d(c), "vector"),
    "BatchNorm2d": _conv(lambda n, c: n.BatchNorm2d(c)),
    "BatchNorm3d": Case("volume", lambda n, c: nn.Sequential(n.BatchNorm3d(c), n.Conv3d(c, 2, 2))),
    "GroupNorm": _conv(lambda n, c: n.GroupNorm(2, c)),
    "InstanceNorm2d": _conv(lambda n, c: n.InstanceNorm2d(c, affine=True)),
    "LayerNorm": _linear(lambda n, c: n.LayerNorm(c)),
    "RMSNorm": _linear(lambda n, c: n.RMSNorm(c)),
    **{kind.__name__: _kept(kind) for kind in _ACTIVATIONS},
    "MaxPool1d": Case("sequence", lambda n, c: nn.Sequential(nn.MaxPool1d(2), n.Conv1d(c, 4, 3))),
    "MaxPool2d": _conv(lambda n, c: nn.MaxPool2d(2)),
    "MaxPool2d ceil": _conv(lambda n, c: nn.MaxPool2d(3, 2, ceil_mode=True)),
    "AvgPool2d": _conv(lambda n, c: nn.AvgPool2d(2)),
    "AvgPool2d ceil": _conv(lambda n, c: nn.AvgPool2d(3, 2, ceil_mode=True)),
    "AdaptiveAvgPool2d": _conv(lambda n, c: nn.AdaptiveAvgPool2d(3)),
    "Upsample": _conv(lambda n, c: nn.Upsample(scale_factor=2)),
    "PixelShuffle": Case(
        "image", lambda n, c: nn.Sequential(nn.PixelShuffle(2), n.Conv2d(c // 4, 4, 3))
    ),
    "LSTM": Case(
        "tokens", lambda n, c: First(n.LSTM(c, 8, 2, batch_first=True, bidirectional=True))
    ),
    "GRU": Case("tokens", lambda n, c: First(n.GRU(c, 8, batch_first=True))),
    "MultiheadAttention": Case("tokens", SelfAttention),
    "TransformerEncoderLayer": Case(
        "tokens", lambda n, c: n.TransformerEncoderLayer(c, 4, 2 * c, batch_first=True)
    ),
    "F.conv2d": Case("image", lambda n, c: Call(F.conv2d, n.parameter(6, c, 3, 3))),
    "F.max_pool2d": _conv(lambda n, c: Call(lambda x: F.max_pool2d(x, 2))),
    "matmul": Case("tokens", lambda n, c: Call(torch.matmul, n.parameter(c, 7))),
    "einsum": Case(
        "tokens",
        lambda n, c: Call(lambda x, w: torch.einsum("bij,jk->bik", x, w), n.parameter(c, 7)),
    ),
    "scaled_dot_product_attention": Case("tokens", lambda n, c: Call(attend)),
    "subtraction": _linear(lambda n, c: Call(lambda x: x - x.flip(0))),
    "division by a number": _linear(lambda n, c: Call(lambda x: x / 2)),
    "product with a number": _linear(lambda n, c: Call(lambda x: x * 0.5)),
    "chunk": Case(
        "tokens",
        lambda n, c: Call(
            lambda x, w: x.chunk(2, -1)[0] @ w + x.chunk(2, -1)[1].sum(), n.parameter(c // 2, 5)
        ),
    ),
    "stack": _linear(lambda n, c: Call(lambda x: torch.stack([x, x, x]).sum(0))),
    "bare parameter": Case("tokens", Shifted),
    "module used twice": Case("tokens", lambda n, c: Twice(n, c, tied=False)),
    "unused module": Case("tokens", Unused),
}
"""What any network may hold."""

UNUSUAL: dict[str, Case] = {
    "ConvTranspose1d": Case("sequence", lambda n, c: n.ConvTranspose1d(c, 6, 3)),
    "Conv2d reflect": Case(
        "image", lambda n, c: n.Conv2d(c, 6, 3, padding=1, padding_mode="reflect")
    ),
    "Linear on images": Case(
        "image", lambda n, c: nn.Sequential(Call(lambda x: x.movedim(1, -1)), n.Linear(c, 5))
    ),
    "Flatten": _conv(lambda n, c: nn.Sequential(nn.Flatten(2), nn.Unflatten(2, (4, -1)))),
    "Dropout": _conv(lambda n, c: nn.Dropout()),
    "Softmax": _linear(lambda n, c: nn.Softmax(-1)),
    "Softplus": _kept(nn.Softplus),
    "RNN": Case("tokens", lambda n, c: First(n.RNN(c, 8, batch_first=True))),
    "fused attention": Case("tokens", lambda n, c: SelfAttention(n, c, need_weights=False)),
    "TransformerEncoder": Case(
        "tokens",
        lambda n, c: nn.Sequential(
            n.Linear(c, 8),
            nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 4, 32, batch_first=True), 2),
        ),
    ),
    "F.linear": Case("tokens", lambda n, c: Call(F.linear, n.parameter(5, c), n.parameter(5))),
    "batched matmul": Case("tokens", lambda n, c: Call(lambda x: x @ x.transpose(1, 2))),
    "causal attention": Case("tokens", lambda n, c: Call(lambda x: attend(x, causal=True))),
    "addmm": Case(
        "vector",
        lambda n, c: Call(lambda x, w, b: torch.addmm(b, x, w), n.parameter(c, 5), n.parameter(5)),
    ),
    "tied weights": Case("tokens", lambda n, c: Twice(n, c, tied=True)),
    "constant on the CPU": _linear(lambda n, c: _eight(n, c, Constant(nn.Linear(8, 4)))),
    "constant and norm": Case(
        "vector", lambda n, c: _eight(n, c, Constant(nn.BatchNorm1d(8), nn.Linear(8, 4)))
    ),
    "constant and LSTM": _linear(lambda n, c: _eight(n, c, First(Constant(nn.LSTM(8, 4))))),
    "constant and attention": _linear(lambda n, c: _eight(n, c, Constant(Call(attend)))),
    "no parameters": Case("image", lambda n, c: nn.ReLU()),
    "weight norm": _linear(
        lambda n, c: _eight(n, c, nn.utils.parametrizations.weight_norm(nn.Linear(8, 5)))
    ),
    "spectral norm": _linear(
        lambda n, c: _eight(n, c, nn.utils.parametrizations.spectral_norm(nn.Linear(8, 5)))
    ),
}
"""What has been a problem for counters."""


def _eight(layers: Any, width: Any, then: nn.Module) -> nn.Module:
    return nn.Sequential(layers.Linear(width, 8), then)


def counted(model: nn.Module, shape: tuple[int, ...]) -> dict[str, float]:
    """What PyTorch counts while `model` really runs, and its unique parameters."""
    unique = {id(parameter): parameter.numel() for parameter in model.parameters()}
    with torch.no_grad(), _countable_kernels(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.randn(shape))
    return {"macs": counter.get_total_flops() / 2, "params": sum(unique.values())}


@contextmanager
def _countable_kernels() -> Iterator[None]:
    """Attention and recurrent layers taken apart: their fused kernels count as nothing."""
    backend: Any = torch.backends.mkldnn
    before = backend.enabled, torch.backends.mha.get_fastpath_enabled()
    try:
        backend.enabled = False
        torch.backends.mha.set_fastpath_enabled(False)
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        backend.enabled = before[0]
        torch.backends.mha.set_fastpath_enabled(before[1])
