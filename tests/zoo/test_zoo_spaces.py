"""What every space of the zoo promises: its count, its labels, archs that run, no weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwnas import zoo
from hwnas.errors import SpaceError
from hwnas.space import ModelSpace
from hwnas.zoo._mobile import Residual, SqueezeExcite
from support import data_path


@dataclass(frozen=True)
class Case:
    """A space, its published or derived count, a small version for forwards, and inputs for it."""

    space: Callable[[], ModelSpace]
    size: int
    decisions: int
    small: Callable[[], ModelSpace]
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...] = (2, 7)


def powers(base: int, low: int, high: int) -> int:
    return sum(base**depth for depth in range(low, high + 1))


IMAGE = ((2, 3, 64, 64),)
CIFAR = ((2, 3, 32, 32),)
CASES: dict[str, Case] = {
    "nasbench201": Case(zoo.nasbench201, 15_625, 6, partial(zoo.nasbench201, num_classes=7), CIFAR),
    "mobilenetv3": Case(
        zoo.mobilenetv3,
        2 * 3 * 7**8 * powers(18, 1, 4) ** 2 * powers(36, 1, 4) ** 3,
        67,
        partial(zoo.mobilenetv3, num_classes=7),
        IMAGE,
    ),
    "proxylessnas": Case(
        zoo.proxylessnas,
        powers(6, 1, 4) ** 5 * 6,
        26,
        partial(zoo.proxylessnas, num_classes=7),
        IMAGE,
    ),
    "mobilenetv2": Case(
        zoo.mobilenetv2, 6**6 * 7**15, 21, partial(zoo.mobilenetv2, num_classes=7), IMAGE
    ),
    "shufflenetv2": Case(
        zoo.shufflenetv2, 4**20, 20, partial(zoo.shufflenetv2, num_classes=7), IMAGE
    ),
    "fbnet": Case(zoo.fbnet, 9**22, 22, partial(zoo.fbnet, num_classes=7), IMAGE),
    "ofa_mobilenetv3": Case(
        zoo.ofa_mobilenetv3,
        (9**2 + 9**3 + 9**4) ** 5,
        45,
        partial(zoo.ofa_mobilenetv3, num_classes=7),
        IMAGE,
    ),
    "darts": Case(
        partial(zoo.darts, cells=5),
        241_591_910_400**2,  # 242 billion for one cell
        32,
        partial(zoo.darts, num_classes=7, channels=4, cells=3),
        CIFAR,
    ),
    "darts_large_images": Case(
        partial(zoo.darts, IMAGE[0][1:], cells=3),
        241_591_910_400**2,
        32,
        partial(zoo.darts, IMAGE[0][1:], 7, channels=4, cells=3),
        IMAGE,
    ),
    "nasnet": Case(
        partial(zoo.nasnet, cells=3),
        (13**10 * 518_400) ** 2,  # 71,465,842 billion for one cell
        40,
        partial(zoo.nasnet, num_classes=7, channels=4, cells=3),
        CIFAR,
    ),
    "autoformer": Case(
        zoo.autoformer,
        3 * powers(6, 12, 14),
        30,
        partial(zoo.autoformer, (3, 32, 32), 7),
        CIFAR,
    ),
    "hat": Case(
        zoo.hat,
        2 * 2 * 6**6 * powers(36, 1, 6),
        2 + 12 + 1 + 24,
        partial(zoo.hat, vocabulary=50),
        ((2, 6), (2, 5)),
        (2, 5, 50),
    ),
}
LABEL = re.compile(r"[a-z]+[0-9]*([./][a-z0-9_]+)*")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def inputs_of(case: Case) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(s) if len(s) == 4 else torch.randint(0, 50, s) for s in case.inputs]


@pytest.mark.parametrize("name", CASES)
def test_count_and_decisions(name: str) -> None:
    case = CASES[name]
    space = case.space()
    assert space.size() == case.size
    assert len(space.decisions) == case.decisions
    for decision in space.decisions:
        assert LABEL.fullmatch(decision.label), decision.label


@pytest.mark.parametrize("name", CASES)
def test_a_space_holds_no_weights_until_a_network_is_built(name: str) -> None:
    template = CASES[name].small().template
    assert all(tensor.is_meta for tensor in template.state_dict().values())


@pytest.mark.parametrize("name", CASES)
def test_networks_run_forward_and_backward(name: str) -> None:
    case = CASES[name]
    space = case.small()
    rng = np.random.default_rng(0)
    for arch in [space.default(), *(space.sample(rng) for _ in range(3))]:
        model = space.build(arch)
        scores = model(*inputs_of(case))
        assert scores.shape == case.outputs
        assert scores.isfinite().all()
        scores.sum().backward()
        assert all(parameter.grad is not None for parameter in head_of(model).parameters())


def head_of(model: nn.Module) -> nn.Module:
    return getattr(model, "head", None) or model.target


@pytest.mark.parametrize("name", CASES)
def test_the_supernet_computes_what_the_extracted_network_computes(name: str) -> None:
    case = CASES[name]
    space = case.small()
    space.supernet.eval()
    arch = space.sample(np.random.default_rng(1))
    with torch.no_grad():
        with space.activate(arch):
            shared = space.supernet(*inputs_of(case))
        alone = space.extract(arch)(*inputs_of(case))
    torch.testing.assert_close(shared, alone)


@pytest.mark.parametrize("name", ["fbnet", "mobilenetv3", "proxylessnas", "nasnet"])
def test_networks_take_images_of_32_pixels(name: str) -> None:
    space = getattr(zoo, name)(
        input_shape=(3, 32, 32),
        num_classes=7,
        **({"cells": 3, "channels": 4} if name == "nasnet" else {}),
    )
    model = space.build(space.sample(np.random.default_rng(2))).eval()
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


def test_loose_ends_change_the_width_of_the_next_layer() -> None:
    space = zoo.nasnet(channels=4, cells=3)
    chain = {
        f"{cell}/input_{node}_{k}": node - 1
        for cell in ("normal", "reduce")
        for node in range(2, 7)
        for k in range(2)
    }
    fan = dict.fromkeys(chain, 0)
    ops = {d.label: "conv_1x1" for d in space.decisions if "/op_" in d.label}
    assert space.build(ops | chain).head[-1].in_features == 4 * 4
    assert space.build(ops | fan).head[-1].in_features == 5 * 4 * 4


def test_nasbench201_none_cuts_and_skip_passes() -> None:
    space = zoo.nasbench201(num_classes=7)
    images = torch.randn(2, 3, 32, 32)
    cut = {d.label: "none" for d in space.decisions}
    scores = space.build(cut).eval()(images)
    torch.testing.assert_close(scores[0], scores[1], msg="an all-none cell sees its input")
    passed = space.build({**cut, "node3.from0": "skip_connect"}).eval()
    assert not torch.allclose(*passed(images))


def test_hat_decoder_sees_no_later_token_and_reads_the_source() -> None:
    space = zoo.hat(vocabulary=50)
    model = space.build(space.sample(np.random.default_rng(3))).eval()
    source, target = torch.randint(0, 50, (1, 6)), torch.randint(0, 50, (1, 5))
    other = target.clone()
    other[0, 3] = (other[0, 3] + 1) % 50
    before, after = model(source, target), model(source, other)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])
    assert not torch.allclose(before, model((source + 1) % 50, target))


def test_hat_memory_is_the_last_encoder_layers_in_a_row() -> None:
    space = zoo.hat(vocabulary=50)
    default = {**space.default(), "decoder.depth": 1}
    arch = space.canonical({**default, "decoder.layer1.memory": "last3"})
    memory = space.build(arch).decoder[0].memory
    outputs = [torch.full((2, 4, 8), float(i)) for i in range(6)]
    assert memory(outputs)[0, :, 0].tolist() == [5.0] * 4 + [4.0] * 4 + [3.0] * 4


def test_autoformer_takes_only_square_images_of_whole_patches() -> None:
    for shape in ((3, 30, 30), (3, 32, 64)):
        with pytest.raises(SpaceError, match="square"):
            zoo.autoformer(shape)
    with pytest.raises(SpaceError, match="tiny, small, base"):
        zoo.autoformer(size="huge")


def blocks_of(model: nn.Module, image: Tensor) -> set[str]:
    """The inverted residuals of a network as the authors' latency tables name them."""
    names: set[str] = set()

    def note(block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        body = block.body if isinstance(block, Residual) else block
        depthwise = next(
            m for m in body.modules() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels
        )
        (_, c, h, w), (_, d, i, j) = inputs[0].shape, output.shape
        squeeze = any(isinstance(m, SqueezeExcite) for m in body.modules())
        swish = any(isinstance(m, nn.Hardswish) for m in body.modules())
        names.add(
            f"expanded_conv-input:{h}x{w}x{c}-output:{i}x{j}x{d}-expand:{depthwise.in_channels}"
            f"-kernel:{depthwise.kernel_size[0]}-stride:{depthwise.stride[0]}"
            f"-idskip:{isinstance(block, Residual):d}-se:{squeeze:d}-hs:{swish:d}"
        )

    for stage in model.stages:
        for block in stage:
            block.register_forward_hook(note)
    model(image)
    return names


def test_ofa_blocks_are_those_of_the_phone_latency_table() -> None:
    text = data_path("ofa/note10/224.yaml").read_text()
    known = set(re.findall(r"^(expanded_conv\S+):$", text, re.MULTILINE))
    space = zoo.ofa_mobilenetv3(width=1.2)
    rng = np.random.default_rng(0)
    met: set[str] = set()
    with torch.device("meta"):
        for _ in range(20):
            met |= blocks_of(space.build(space.sample(rng)), torch.empty(1, 3, 224, 224))
    assert met <= known
    assert len(met) > 60
