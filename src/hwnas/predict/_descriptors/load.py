"""Which descriptor a space has."""

from __future__ import annotations

import inspect
from typing import Any

from hwnas import zoo
from hwnas.errors import PredictError
from hwnas.predict._descriptor import Descriptor
from hwnas.predict._descriptors.fbnet import FBNetDescriptor
from hwnas.predict._descriptors.generic import OperatorDescriptor
from hwnas.predict._descriptors.hat import HatDescriptor
from hwnas.predict._descriptors.nasbench201 import NasBench201Descriptor
from hwnas.predict._descriptors.ofa_mobilenetv3 import OfaDescriptor
from hwnas.space import SearchSpace

PUBLISHED = {"fbnet": (3, 32, 32)}
"""Input sizes of published latencies, where the zoo's default is another."""


def load_descriptor(
    space: str | SearchSpace,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
) -> Descriptor:
    """The descriptor of a space.

    `nasbench201`, `fbnet`, `ofa_mobilenetv3` and `hat`, named, have descriptors of their own. Any
    other space is described by the operators of its networks.

    Args:
        space: a name in the zoo, a reference `module:name`, or the space.
        input_shape: (C, H, W) of the images. By default the size at which latencies of the space
            were published, 32 pixels for `fbnet`; else that of the zoo's function.
        num_classes: see `hwnas.zoo.load_space`.

    Raises:
        PredictError: the input's shape is not known.
        UsageError: there is no such space.
        CostError: the forward fails, for every arch.
    """
    if space == "nasbench201":
        return NasBench201Descriptor(zoo.nasbench201())
    if space == "fbnet":
        size = input_shape or PUBLISHED[space]
        return FBNetDescriptor(zoo.load_space("fbnet", size), size)
    if space == "ofa_mobilenetv3":
        return OfaDescriptor(zoo.ofa_mobilenetv3())
    if space == "hat":
        return HatDescriptor()
    name = space if isinstance(space, str) else type(space).__name__
    shape = input_shape or own_shape(space)
    if shape is None:
        raise PredictError(f"the descriptor of '{name}' needs the shape of an input: C, H, W")
    if isinstance(space, str):
        space = zoo.load_space(space, shape, num_classes)
    return OperatorDescriptor(space, (1, *shape), name)


def own_shape(space: str | SearchSpace) -> tuple[int, ...] | None:
    """(C, H, W) of a space of the zoo: as its latencies were published, else the default.

    None where it takes no images, or is of your own.
    """
    if isinstance(space, str) and space in PUBLISHED:
        return PUBLISHED[space]
    function: Any = getattr(zoo, space, None) if isinstance(space, str) else None
    if function is None:
        return None
    parameter = inspect.signature(function).parameters.get("input_shape")
    return None if parameter is None else parameter.default
