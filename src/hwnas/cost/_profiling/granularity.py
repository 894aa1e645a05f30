"""Into which parts a template is cut to be measured: blocks, or units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import nn

from hwnas.space import Cell, InputChoice, LayerChoice, Repeat
from hwnas.space.template import Blocks, Elastic, Symbolic

Granularity: TypeAlias = Literal["block", "unit"]

_REPEATS = (Repeat, Blocks, Cell)
_LISTS = (nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True, eq=False)
class Part:
    """A module of the template that is measured as a whole, wherever it is called.

    Attributes:
        path: its place in the template.
    """

    path: str
    module: nn.Module

    def __str__(self) -> str:
        return f"'{self.path}' ({type(self.module).__name__})" if self.path else "the network"


def parts_of(template: nn.Module, granularity: Granularity) -> list[Part]:
    """The parts, none within another.

    A block is a member of a `Repeat`, a candidate of a `LayerChoice` or of a `Cell`, or what
    stands beside those in the network: the stem, the head. A unit is a module that holds layers
    only, such as a convolution with its norm and activation, or a layer that stands alone.
    """
    walk = _blocks if granularity == "block" else _units
    found: dict[nn.Module, Part] = {}
    for path, module in walk(template, "", True):
        found.setdefault(module, Part(path, module))
    return list(found.values())


def _blocks(module: nn.Module, path: str, outside: bool) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(module, InputChoice):
        return
    if isinstance(module, Repeat | LayerChoice | Cell | Blocks):
        for name, part in _children(module):
            yield from _blocks(part, f"{path}{name}", False)
    elif _opens(module, path, outside):
        for name, part in _children(module):
            yield from _blocks(part, f"{path}{name}", True)
    else:
        yield path.removesuffix("."), module


def _opens(module: nn.Module, path: str, outside: bool) -> bool:
    """Whether the parts are to be found inside of a module, which is no choice itself."""
    if isinstance(module, _LISTS):
        return True
    inside = list(module.modules())[1:]
    if isinstance(module, Elastic) or not inside or not any(map(_varies, inside)):
        # What has no choice inside is one part; the network itself is not.
        return not path and bool(inside) and not _is_layer(module)
    if any(isinstance(part, _REPEATS) for part in inside):
        return True
    return outside and (not path or (isinstance(module, nn.Sequential) and _lists(inside)))


def _lists(inside: list[nn.Module]) -> bool:
    """Whether a sequence is one of blocks, not of layers."""
    return any(
        isinstance(part, LayerChoice) or (part._modules and not isinstance(part, nn.Sequential))
        for part in inside
        if not _is_layer(part)
    )


def _varies(module: nn.Module) -> bool:
    from hwnas.cost._tracing.twin import formulas

    return isinstance(module, Symbolic) or bool(formulas(module))


def _units(module: nn.Module, path: str, _: bool) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(module, InputChoice):
        return
    chooses = isinstance(module, Symbolic | Blocks) and not isinstance(module, Elastic)
    children = list(module.children())
    holds_layers = all(map(_is_layer, children)) and not isinstance(module, _LISTS)
    if not chooses and (_is_layer(module) or (path and holds_layers)):
        yield path.removesuffix("."), module
        return
    for name, part in _children(module):
        yield from _units(part, f"{path}{name}", False)


def _is_layer(module: nn.Module) -> bool:
    """Whether a module is taken as one by everybody: torch's own, or one without parts."""
    if isinstance(module, Elastic):
        return True
    if isinstance(module, Symbolic):
        return False
    own = type(module).__module__.startswith("torch.nn.modules.")
    container = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
    return not container and (own or not module._modules)


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, part in module._modules.items():
        if part is None:
            continue
        if isinstance(part, nn.ModuleList) and isinstance(module, Symbolic):
            yield from ((f"{name}.{key}.", one) for key, one in part.named_children())
        else:
            yield f"{name}.", part
