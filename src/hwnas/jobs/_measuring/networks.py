"""Archs as networks to measure: what a store knows them by, and how they are built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwnas.errors import HwnasError, ModelFault, describe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hwnas.device import Item
    from hwnas.space import Arch, SearchSpace


def network_item(
    space: SearchSpace, arch: Arch, input_shape: Sequence[int], batch_size: int
) -> Item:
    """What a measurement of an untrained network is stored under: space, code, arch and input."""
    from hwnas.device import Item

    described = {
        "fingerprint": space.fingerprint,
        "code": space.code_hash,
        "arch": arch,
        "input": [batch_size, *_shape(arch, input_shape)],
    }
    return Item("network", described)


def network(
    space: SearchSpace, arch: Arch, input_shape: Sequence[int], batch_size: int
) -> tuple[nn.Module, tuple[Tensor]]:
    """The network of an arch, with always the same weights, and noise for it.

    Raises:
        ModelFault: it cannot be built.
    """
    import torch

    from hwnas.space import RESOLUTION

    sized = any(decision.label == RESOLUTION for decision in space.decisions)
    decided = arch if sized else {k: v for k, v in arch.items() if k != RESOLUTION}
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        try:
            model = space.build(decided).eval()
        except HwnasError:
            raise
        except Exception as error:  # the constructor is the user's
            raise ModelFault(f"the network cannot be built: {describe(error)}") from error
    return model, noise(batch_size, _shape(arch, input_shape))


def noise(batch_size: int, shape: Sequence[int]) -> tuple[Tensor]:
    """One batch for inputs of `shape` (C, H, W); always the same.

    Not zeros: the ranges of an int8 model are taken from it.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    return (torch.randn(batch_size, *shape, generator=generator),)


def _shape(arch: Arch, input_shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of one input: images of the size that the arch says, where it says one."""
    from hwnas.space import RESOLUTION

    size = arch.get(RESOLUTION)
    return tuple(input_shape) if size is None else (input_shape[0], int(size), int(size))
