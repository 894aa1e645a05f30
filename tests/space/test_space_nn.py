"""hwnas.space.nn mirrors torch.nn: same names, same arguments, same results."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import hwnas.space as hs
from hwnas.space import Choice, ModelSpace

MIRRORS = [name for name in hs.nn.__all__ if name != "parameter"]
# torch hides the arguments of these behind *args.
RECURRENT = {"LSTM", "GRU", "RNN"}


@pytest.mark.parametrize("name", [name for name in MIRRORS if name not in RECURRENT])
def test_signatures_are_those_of_torch(name: str) -> None:
    ours = inspect.signature(getattr(hs.nn, name)).parameters
    theirs = inspect.signature(getattr(nn, name)).parameters
    positional = [p for p in theirs.values() if p.kind is not p.KEYWORD_ONLY]
    assert list(ours) == [p.name for p in positional]
    assert [p.default for p in ours.values()] == [p.default for p in positional]


def test_signatures_of_recurrent_layers() -> None:
    theirs = inspect.signature(nn.RNNBase).parameters
    names = [name for name in theirs if name != "mode"]
    assert list(inspect.signature(hs.nn.LSTM).parameters) == names
    names.remove("proj_size")
    assert list(inspect.signature(hs.nn.GRU).parameters) == names
    names.insert(3, "nonlinearity")
    assert list(inspect.signature(hs.nn.RNN).parameters) == names


def pick(*values: Any) -> Any:
    """A choice named after its values."""
    return Choice(values, label=f"choice of {values}")


def image(*size: int) -> Callable[[nn.Module], Tensor]:
    return lambda layer: torch.randn(2, *size)


def first_channels(attribute: str, *rest: int) -> Callable[[nn.Module], Tensor]:
    return lambda layer: torch.randn(2, getattr(layer, attribute), *rest)


# name -> (how it is made with choices, an input for a plain layer)
CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], Any]]] = {
    "Conv1d": (lambda: hs.nn.Conv1d(3, pick(4, 6), pick(1, 3)), image(3, 8)),
    "Conv2d": (
        lambda: hs.nn.Conv2d(4, pick(4, 8), (pick(3, 5), 3), stride=pick(1, 2), groups=pick(1, 2)),
        image(4, 8, 8),
    ),
    "Conv3d": (lambda: hs.nn.Conv3d(2, pick(2, 4), 3, bias=pick(True, False)), image(2, 4, 4, 4)),
    "ConvTranspose1d": (lambda: hs.nn.ConvTranspose1d(3, pick(2, 4), pick(2, 4)), image(3, 5)),
    "ConvTranspose2d": (
        lambda: hs.nn.ConvTranspose2d(pick(2, 4), pick(2, 6), 2, stride=2),
        first_channels("in_channels", 3, 3),
    ),
    "ConvTranspose3d": (lambda: hs.nn.ConvTranspose3d(2, pick(2, 4), 2), image(2, 3, 3, 3)),
    "Linear": (
        lambda: hs.nn.Linear(pick(4, 8), pick(2, 3) * 2, bias=pick(True, False)),
        first_channels("in_features"),
    ),
    "Bilinear": (
        lambda: hs.nn.Bilinear(3, pick(4, 5), pick(2, 6)),
        lambda layer: (torch.randn(2, 3), torch.randn(2, layer.in2_features)),
    ),
    "Embedding": (
        lambda: hs.nn.Embedding(pick(10, 20), pick(4, 6)),
        lambda layer: torch.arange(8)[None],
    ),
    "MultiheadAttention": (
        lambda: hs.nn.MultiheadAttention(
            pick(8, 16), pick(2, 4), bias=pick(True, False), batch_first=True
        ),
        lambda layer: (torch.randn(2, 5, layer.embed_dim),) * 3,
    ),
    "TransformerEncoderLayer": (
        lambda: hs.nn.TransformerEncoderLayer(
            pick(8, 16), pick(2, 4), pick(12, 24), dropout=0.0, batch_first=True
        ),
        lambda layer: torch.randn(2, 5, layer.self_attn.embed_dim),
    ),
    "BatchNorm1d": (lambda: hs.nn.BatchNorm1d(pick(3, 5)), first_channels("num_features")),
    "BatchNorm2d": (lambda: hs.nn.BatchNorm2d(pick(3, 5)), first_channels("num_features", 4, 4)),
    "BatchNorm3d": (
        lambda: hs.nn.BatchNorm3d(pick(3, 5), affine=pick(True, False)),
        first_channels("num_features", 2, 2, 2),
    ),
    "InstanceNorm1d": (
        lambda: hs.nn.InstanceNorm1d(pick(3, 5), affine=True),
        first_channels("num_features", 7),
    ),
    "InstanceNorm2d": (
        lambda: hs.nn.InstanceNorm2d(pick(3, 5), track_running_stats=True),
        first_channels("num_features", 4, 4),
    ),
    "InstanceNorm3d": (
        lambda: hs.nn.InstanceNorm3d(pick(3, 5)),
        first_channels("num_features", 2, 2, 2),
    ),
    "GroupNorm": (
        lambda: hs.nn.GroupNorm(pick(1, 2, 4), pick(4, 8)),
        first_channels("num_channels", 3),
    ),
    "LayerNorm": (
        lambda: hs.nn.LayerNorm(pick(4, 8), bias=pick(True, False)),
        lambda layer: torch.randn(2, *layer.normalized_shape),
    ),
    "RMSNorm": (
        lambda: hs.nn.RMSNorm((3, pick(4, 8))),
        lambda layer: torch.randn(2, *layer.normalized_shape),
    ),
    "Dropout": (lambda: hs.nn.Dropout(pick(0.1, 0.5)), image(4)),
    "Dropout1d": (lambda: hs.nn.Dropout1d(pick(0.1, 0.5)), image(4, 4)),
    "Dropout2d": (lambda: hs.nn.Dropout2d(pick(0.1, 0.5)), image(4, 4, 4)),
    "Dropout3d": (lambda: hs.nn.Dropout3d(pick(0.1, 0.5)), image(4, 2, 2, 2)),
    "MaxPool1d": (lambda: hs.nn.MaxPool1d(pick(2, 3)), image(3, 9)),
    "MaxPool2d": (lambda: hs.nn.MaxPool2d(pick(2, 3), ceil_mode=pick(True, False)), image(3, 8, 8)),
    "MaxPool3d": (lambda: hs.nn.MaxPool3d(pick(2, 3)), image(3, 6, 6, 6)),
    "AvgPool1d": (lambda: hs.nn.AvgPool1d(pick(2, 3)), image(3, 9)),
    "AvgPool2d": (lambda: hs.nn.AvgPool2d(3, stride=pick(1, 2), padding=1), image(3, 8, 8)),
    "AvgPool3d": (lambda: hs.nn.AvgPool3d(pick(2, 3)), image(3, 6, 6, 6)),
    "AdaptiveAvgPool1d": (lambda: hs.nn.AdaptiveAvgPool1d(pick(1, 2)), image(3, 8)),
    "AdaptiveAvgPool2d": (lambda: hs.nn.AdaptiveAvgPool2d((pick(1, 2), None)), image(3, 8, 8)),
    "AdaptiveAvgPool3d": (lambda: hs.nn.AdaptiveAvgPool3d(pick(1, 2)), image(3, 4, 4, 4)),
    "AdaptiveMaxPool1d": (lambda: hs.nn.AdaptiveMaxPool1d(pick(1, 2)), image(3, 8)),
    "AdaptiveMaxPool2d": (lambda: hs.nn.AdaptiveMaxPool2d(pick(1, 2)), image(3, 8, 8)),
    "AdaptiveMaxPool3d": (lambda: hs.nn.AdaptiveMaxPool3d(pick(1, 2)), image(3, 4, 4, 4)),
    "Upsample": (
        lambda: hs.nn.Upsample(scale_factor=pick(2, 3), mode=pick("nearest", "bilinear")),
        image(3, 4, 4),
    ),
    "PixelShuffle": (lambda: hs.nn.PixelShuffle(pick(1, 2)), image(4, 3, 3)),
    "LSTM": (
        lambda: hs.nn.LSTM(
            pick(3, 5),
            pick(4, 8),
            pick(1, 2),
            bias=pick(True, False),
            batch_first=True,
            bidirectional=True,
            proj_size=pick(0, 2),
        ),
        lambda layer: torch.randn(2, 6, layer.input_size),
    ),
    "GRU": (
        lambda: hs.nn.GRU(pick(3, 5), pick(4, 8), pick(1, 3), batch_first=True),
        lambda layer: torch.randn(2, 6, layer.input_size),
    ),
    "RNN": (
        lambda: hs.nn.RNN(3, pick(4, 8), 2, batch_first=True, bidirectional=True),
        image(6, 3),
    ),
}


def test_every_layer_has_a_case() -> None:
    assert sorted(CASES) == sorted(MIRRORS)


@pytest.mark.parametrize("name", CASES)
def test_layers_build_plain_and_share_weights(name: str) -> None:
    torch.manual_seed(0)
    make, sample_input = CASES[name]
    space = ModelSpace(make)
    space.supernet.eval()
    assert space.size() > 1
    for arch in space.enumerate():
        plain = space.build(arch)
        assert type(plain) is getattr(nn, name)
        subnet = space.extract(arch)
        assert type(subnet) is getattr(nn, name)
        given = sample_input(plain)
        inputs = given if isinstance(given, tuple) else (given,)
        with space.activate(arch):
            expected = space.supernet(*inputs)
        for ours, theirs in zip(flat(subnet(*inputs)), flat(expected), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def flat(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    return [] if output is None else [tensor for part in output for tensor in flat(part)]


@pytest.mark.parametrize("name", ["LSTM", "MultiheadAttention", "Conv2d", "Linear"])
def test_gradients_reach_the_shared_weights(name: str) -> None:
    make, sample_input = CASES[name]
    space = ModelSpace(make)
    arch = space.default()
    given = sample_input(space.build(arch))
    inputs = given if isinstance(given, tuple) else (given,)
    with space.activate(arch):
        flat(space.supernet(*inputs))[0].square().sum().backward()
    subnet = space.extract(arch)
    flat(subnet(*inputs))[0].square().sum().backward()
    total = sum(p.grad.square().sum() for p in subnet.parameters() if p.grad is not None)
    assert total > 0
    whole = sum(p.grad.square().sum() for p in space.supernet.parameters() if p.grad is not None)
    torch.testing.assert_close(whole, total)


def test_wrong_arguments_fail_as_in_torch() -> None:
    for make in (lambda: hs.nn.Conv2d(3), lambda: hs.nn.Linear(3, 4, widht=3)):
        with pytest.raises(TypeError):
            ModelSpace(make)
    with pytest.raises(ValueError, match="divisible"):
        hs.nn.Conv2d(3, 4, 1, groups=2)


def test_the_bare_parameter() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = Choice([2, 4], label="width")
            self.scale = hs.nn.parameter(width, init=nn.init.ones_, requires_grad=False)
            self.shift = hs.nn.parameter(3, 5)

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale

    space = ModelSpace(Net)
    model: Any = space.build({"width": 4})
    assert type(model.scale) is nn.Parameter
    assert not model.scale.requires_grad
    assert model.shift.shape == (3, 5)
    supernet: Any = space.supernet
    assert supernet.state_dict()["scale"].shape == (4,)
    with space.activate({"width": 2}):
        assert supernet(torch.ones(1, 2)).tolist() == [[1, 1]]
        assert supernet.scale.shape == (2,)


def test_plain_layers_of_a_template_are_layers_of_their_own() -> None:
    """Equal ones share nothing, and are what torch makes."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.width = Choice([4, 8])
            self.convs = nn.ModuleList(hs.nn.Conv2d(3, 4, 3, padding="same") for _ in range(3))
            self.norms = nn.ModuleList(hs.nn.BatchNorm2d(4) for _ in range(3))
            self.lstms = nn.ModuleList(hs.nn.LSTM(4, 4) for _ in range(2))
            self.norms[0].register_forward_hook(lambda *_: None)
            self.norms[1].weight = self.norms[2].weight

    template = ModelSpace(Net).template
    assert len(list(template.parameters())) == 3 * 2 + 3 * 2 - 1 + 2 * 4
    assert [len(norm._forward_hooks) for norm in template.norms] == [1, 0, 0]
    for conv in template.convs:
        plain = nn.Conv2d(3, 4, 3, padding="same", device="meta")
        assert vars(conv).keys() == vars(plain).keys()
        assert repr(conv) == repr(plain)
        assert [p.shape for p in conv.parameters()] == [p.shape for p in plain.parameters()]
        assert all(type(p) is nn.Parameter and p.requires_grad for p in conv.parameters())
