"""The supernet computes what the extracted subnet computes; weights are shared and inherited."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from space_examples import INPUT, SPACES, Chain, MobileNet
from torch import Tensor, nn

import hwnas.space as hs
from hwnas.errors import ArchError, SpaceError
from hwnas.space import Arch, Choice, LayerChoice, ModelSpace, Repeat

MODELS = ["chain", "mobilenet", "bench_cell", "darts", "transformer", "nested"]


def run(space: ModelSpace, arch: Arch, *inputs: Tensor) -> Tensor:
    with space.activate(arch):
        output: Tensor = space.supernet(*inputs)
    return output


@pytest.mark.parametrize("name", MODELS)
def test_an_extracted_subnet_computes_what_the_supernet_does(name: str) -> None:
    torch.manual_seed(0)
    space: Any = SPACES[name]()
    rng = np.random.default_rng(0)
    x = torch.randn(INPUT)
    # Training steps under several archs, so that weights and running statistics move.
    optimiser = torch.optim.SGD(space.supernet.train().parameters(), lr=0.01)
    for _ in range(5):
        optimiser.zero_grad()
        run(space, space.sample(rng), x).square().mean().backward()
        optimiser.step()
    space.supernet.eval()
    for _ in range(15):
        arch = space.sample(rng)
        subnet = space.extract(arch)
        assert not subnet.training
        torch.testing.assert_close(subnet(x), run(space, arch, x), rtol=1e-5, atol=1e-5)


def test_weights_of_subnets_are_parts_of_the_supernets() -> None:
    space = ModelSpace(Chain)
    weight = space.supernet.conv1.weight
    assert weight.shape == (8, 3, 5, 5)
    subnet = space.extract({"width": 4, "conv1.kernel_size": 3})
    assert torch.equal(subnet.conv1.weight, weight[:4, :, 1:4, 1:4])
    assert torch.equal(subnet.bn.running_var, space.supernet.bn.running_var[:4])
    subnet.conv1.weight.data.zero_()
    assert weight.abs().min() > 0


def test_stacked_weights_are_cut_block_by_block() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = Choice([4, 6], label="width")
            self.attention = hs.nn.MultiheadAttention(width, 2)
            self.lstm = hs.nn.LSTM(3, width, num_layers=2, bidirectional=True)

    space = ModelSpace(Net)
    subnet = space.extract({"width": 4})
    full = space.supernet.attention.full.in_proj_weight
    assert torch.equal(subnet.attention.in_proj_weight.view(3, 4, 4), full.view(3, 6, 6)[:, :4, :4])
    gates = space.supernet.lstm.full.weight_ih_l1.view(4, 6, 2, 6)
    assert torch.equal(subnet.lstm.weight_ih_l1.view(4, 4, 2, 4), gates[:, :4, :, :4])
    assert torch.equal(
        subnet.lstm.bias_hh_l0.view(4, 4), space.supernet.lstm.full.bias_hh_l0.view(4, 6)[:, :4]
    )


def test_training_a_subnet_of_the_supernet_moves_only_its_part() -> None:
    space = ModelSpace(Chain)
    run(space, {"width": 4, "conv1.kernel_size": 1}, torch.randn(INPUT)).sum().backward()
    grad = space.supernet.conv1.weight.grad
    assert grad[:4, :, 2, 2].abs().min() > 0
    grad[:4, :, 2, 2] = 0
    assert not grad.any()
    before = space.supernet.bn.running_mean.clone()
    space.supernet.train()
    run(space, {"width": 4, "conv1.kernel_size": 1}, torch.randn(INPUT))
    changed = space.supernet.bn.running_mean != before
    assert changed.tolist() == [True] * 4 + [False] * 4


def test_the_supernet_needs_an_active_arch() -> None:
    space = ModelSpace(Chain)
    arch = space.default()
    with pytest.raises(SpaceError, match="no arch is active"):
        space.supernet(torch.randn(INPUT))
    with pytest.raises(ArchError), space.activate({**arch, "width": 5}):
        pass
    with pytest.raises(RuntimeError), space.activate(arch):
        raise RuntimeError
    with pytest.raises(SpaceError, match="no arch is active"):
        space.supernet(torch.randn(INPUT))
    with pytest.raises(SpaceError, match="no arch is active"):
        space.template(torch.randn(INPUT))


def test_activation_nests_and_is_of_one_thread() -> None:
    one, two = ModelSpace(Chain), ModelSpace(MobileNet)
    x = torch.randn(INPUT)
    small, large = ({"width": width, "conv1.kernel_size": 1} for width in (4, 8))
    expected = run(one.extract(small).train() and one, small, x)
    errors: list[Exception] = []

    def elsewhere() -> None:
        try:
            one.supernet(x)
        except SpaceError as error:
            errors.append(error)

    with one.activate(small):
        with one.activate(large), two.activate(two.default()):
            assert one.supernet.conv1(x).shape[1] == 8
            assert two.supernet(x).shape == (2, 5)
        torch.testing.assert_close(one.supernet.eval()(x), one.extract(small)(x))
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert len(errors) == 1
    assert expected.shape == (2, 5)


def test_initialisation_in_the_constructor_reaches_the_supernet() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = hs.nn.Linear(3, Choice([4, 8]))
            nn.init.constant_(self.fc.weight, 2.0)
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    nn.init.constant_(module.bias, 3.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x)

    space = ModelSpace(Net)
    arch: Arch = {"fc.out_features": 4}
    for model in (space.build(arch), space.extract(arch)):
        assert torch.equal(model(torch.ones(1, 3)), torch.full((1, 4), 9.0))


def test_tied_weights_stay_tied() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = Choice([4, 8], label="width")
            self.embed = hs.nn.Embedding(11, width)
            self.head = hs.nn.Linear(width, 11, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.embed(x))

    space = ModelSpace(Net)
    assert sum(p.numel() for p in space.supernet.parameters()) == 88
    x = torch.arange(5)[None]
    for width in (4, 8):
        subnet = space.extract({"width": width})
        assert subnet.head.weight is subnet.embed.weight
        torch.testing.assert_close(subnet(x), run(space, {"width": width}, x))


def test_arguments_of_a_layer_can_be_read() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = hs.nn.Conv2d(3, Choice([4, 8], label="conv.out_channels"), 1)
            self.bn = hs.nn.BatchNorm2d(self.conv.out_channels)

        def forward(self, x: Tensor) -> Tensor:
            return self.bn(self.conv(x)) / self.conv.out_channels

    space = ModelSpace(Net)
    assert [d.label for d in space.decisions] == ["conv.out_channels"]
    arch: Arch = {"conv.out_channels": 4}
    assert space.build(arch).bn.num_features == 4
    x = torch.randn(INPUT)
    torch.testing.assert_close(space.extract(arch)(x), run(space, arch, x))


def test_shapes_that_no_single_arch_has() -> None:
    # More groups mean fewer weights, so the largest kernel and the largest input never meet.
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            groups = Choice([1, 2], label="groups")
            kernel = LayerChoice(
                {
                    "a": lambda: hs.nn.Conv2d(4, 4, Choice([1, 3], label="k"), groups=groups),
                    "b": nn.Identity,
                },
                label="op",
            )
            self.op = kernel
            self.fc = hs.nn.Linear(4, Choice([2, 6], label="n") // groups, bias=groups == 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.op(x).mean((2, 3)))

    space = ModelSpace(Net)
    x = torch.randn(2, 4, 5, 5)
    for arch in space.enumerate():
        torch.testing.assert_close(space.extract(arch)(x), run(space, arch, x))
    assert space.supernet.fc.full.weight.isfinite().all()


def test_weights_larger_than_any_single_layer_are_initialised_everywhere_used() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            wide = Choice([0, 1], label="wide")
            self.fc = hs.nn.Linear(2 + 6 * wide, 8 - 6 * wide)
            self.rnn = hs.nn.LSTM(2 + 6 * wide, 8 - 6 * wide, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x).sum(-1) + self.rnn(x)[0].sum(-1)

    torch.manual_seed(0)
    space = ModelSpace(Net)
    assert space.supernet.fc.full.weight.shape == (8, 8)
    for arch, width in (({"wide": 0}, 2), ({"wide": 1}, 8)):
        x = torch.randn(2, 3, width)
        subnet = space.extract(arch)
        assert all(p.count_nonzero() == p.numel() for p in subnet.parameters())
        torch.testing.assert_close(subnet(x), run(space, arch, x))


def test_a_depth_that_depends_on_a_formula() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            size = Choice(["s", "l"], label="size")
            self.blocks = Repeat(lambda i: nn.Linear(3, 3), 1 + 2 * (size == "l"))

        def forward(self, x: Tensor) -> Tensor:
            return self.blocks(x)

    space = ModelSpace(Net)
    x = torch.randn(2, 3)
    for size, depth in (("s", 1), ("l", 3)):
        assert len(space.build({"size": size}).blocks) == depth
        arch: Arch = {"size": size}
        torch.testing.assert_close(space.extract(arch)(x), run(space, arch, x))


def test_the_supernet_lives_on_the_device_it_is_moved_to() -> None:
    space = ModelSpace(Chain)
    space.supernet.to(torch.float64)
    arch = space.default()
    subnet = space.extract(arch)
    assert {p.dtype for p in subnet.parameters()} == {torch.float64}
    x = torch.randn(INPUT, dtype=torch.float64)
    torch.testing.assert_close(subnet(x), run(space, arch, x))


def test_a_state_dict_of_the_supernet_loads() -> None:
    one, other = ModelSpace(MobileNet), ModelSpace(MobileNet)
    other.supernet.load_state_dict(one.supernet.state_dict())
    arch = one.sample(np.random.default_rng(0))
    x = torch.randn(INPUT)
    torch.testing.assert_close(
        other.extract(arch).eval()(x), one.extract(arch).eval()(x), rtol=0, atol=0
    )
