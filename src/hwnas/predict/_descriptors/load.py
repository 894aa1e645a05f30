"""Which descriptor a space has."""

from __future__ import annotations

from hwnas.errors import PredictError
from hwnas.predict._descriptor import Descriptor
from hwnas.predict._descriptors.fbnet import FBNetDescriptor
from hwnas.predict._descriptors.nasbench201 import NasBench201Descriptor
from hwnas.predict._descriptors.ofa_mobilenetv3 import OfaDescriptor
from hwnas.space import SearchSpace
from hwnas.zoo import load_space


def load_descriptor(
    space: str | SearchSpace, input_shape: tuple[int, ...] | None = None
) -> Descriptor:
    """The descriptor of a space.

    `nasbench201`, `fbnet` and `ofa_mobilenetv3`, named, have descriptors of their own.

    Args:
        space: a name in the zoo, a reference `module:name`, or the space.
        input_shape: (C, H, W) of the images. By default the size at which latencies of the space
            were published: 32 pixels for `nasbench201` and `fbnet`.

    Raises:
        PredictError: there is no descriptor of the space.
        UsageError: there is no such space.
    """
    if space == "nasbench201":
        return NasBench201Descriptor(load_space("nasbench201"))
    if space == "fbnet":
        shape = input_shape or (3, 32, 32)
        return FBNetDescriptor(load_space("fbnet", input_shape=shape), shape)
    if space == "ofa_mobilenetv3":
        return OfaDescriptor(load_space("ofa_mobilenetv3"))
    raise PredictError(f"there is no descriptor of '{space}'")
