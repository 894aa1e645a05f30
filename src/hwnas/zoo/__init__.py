"""Ready-made spaces, and finding a space by its name or reference."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from torch import nn

from hwnas import _plugins, _refs
from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas.space import SearchSpace

__all__ = ["load_space"]


def load_space(
    reference: str,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
) -> SearchSpace:
    """The space that `reference` names: one of the zoo, or `module:name` of the user's own.

    The name may be a space, a `torch.nn.Module` class, or a function that returns a space. A class
    or function is given those of `input_shape` (C, H, W) and `num_classes` that it has parameters
    for.

    Raises:
        UsageError: there is no such space, or the name is something else.
    """
    from hwnas.space import ModelSpace, SearchSpace

    if ":" in reference:
        target: Any = _refs.load(reference)
    else:
        target = _plugins.load("spaces", reference)
    if isinstance(target, SearchSpace):
        return target
    if not callable(target):
        raise UsageError(f"'{reference}' is {type(target).__name__}, not a space or a module class")
    given = {"input_shape": input_shape, "num_classes": num_classes}
    takes = inspect.signature(target).parameters
    arguments = {k: v for k, v in given.items() if v is not None and k in takes}
    if isinstance(target, type) and issubclass(target, nn.Module):
        return ModelSpace(target, **arguments)
    made = target(**arguments)
    if not isinstance(made, SearchSpace):
        raise UsageError(
            f"'{reference}' returned {type(made).__name__}; a function must return a search space "
            "(wrap a module class in hwnas.ModelSpace)"
        )
    return made
