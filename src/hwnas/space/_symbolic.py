"""Parts of a template or a supernet that depend on decisions, and the arch under which they act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from torch import nn

from hwnas.errors import SpaceError
from hwnas.space._expr import Arch, Expr
from hwnas.space._run import required_run

_ACTIVE: ContextVar[Mapping[object, Arch]] = ContextVar(
    "hwnas_active_archs", default=MappingProxyType({})
)


class Symbolic(nn.Module):
    """A module whose behaviour depends on decisions; no part of a network that is built.

    In a template it stands for the variants; in a supernet its forward follows the arch that is
    active (see `ModelSpace.activate`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.run = required_run(type(self).__name__)

    @property
    def arch(self) -> Arch:
        """The arch under which the supernet acts."""
        return active_arch(self.run)

    def uses(self) -> Iterator[tuple[str, Expr, bool]]:
        """The formulas that the module holds: name below the module's path, formula, own.

        A choice that is a module's own (made by it, not an argument) is named after it, wherever
        else it is used.
        """
        return iter(())

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        """The modules inside, each with its name below the module's path."""
        return self.named_children()

    def inherit(self, built: nn.Module, arch: Arch) -> Iterator[tuple[nn.Module, nn.Module]]:
        """Hand the weights to `built`, which stands here in the network of `arch`.

        Yields:
            pairs (part of the supernet, the same part of the built network) that remain to do.
        """
        raise NotImplementedError


def active_arch(run: object) -> Arch:
    """The arch under which the supernet made by `run` acts.

    Raises:
        SpaceError: none is active.
    """
    try:
        return _ACTIVE.get()[run]
    except KeyError:
        raise SpaceError(
            "no arch is active: write `with space.activate(arch): space.supernet(x)`, or build "
            "the network of one arch with space.build(arch)"
        ) from None


def is_active(run: object) -> bool:
    """Whether an arch is active for the supernet made by `run`."""
    return run in _ACTIVE.get()


@contextmanager
def activated(run: Any, arch: Arch) -> Iterator[None]:
    """Let the supernet made by `run` act under `arch`, in this thread."""
    token = _ACTIVE.set({**_ACTIVE.get(), run: arch})
    try:
        yield
    finally:
        _ACTIVE.reset(token)
