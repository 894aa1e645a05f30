"""Ready-made spaces, their string formats, and finding a space by its name or reference.

Each space is a function that returns a `ModelSpace`, in a module of its own that cites the paper;
`read_*` and `write_*` turn the notation of a benchmark or an author's release into archs and back.
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from hwnas import _plugins, _refs
from hwnas.errors import UsageError
from hwnas.space import ModelSpace, SearchSpace
from hwnas.zoo._autoformer import autoformer
from hwnas.zoo._darts import darts
from hwnas.zoo._digits_cnn import digits_cnn
from hwnas.zoo._fbnet import fbnet, read_fbnet, write_fbnet
from hwnas.zoo._hat import hat
from hwnas.zoo._hat_format import hat_features, read_hat, write_hat
from hwnas.zoo._image_cnn import image_cnn
from hwnas.zoo._mnist_cnn import mnist_cnn
from hwnas.zoo._mobilenetv2 import mobilenetv2
from hwnas.zoo._mobilenetv3 import mobilenetv3
from hwnas.zoo._nasbench201 import nasbench201, read_nasbench201, write_nasbench201
from hwnas.zoo._nasnet import nasnet
from hwnas.zoo._notation import read_notation
from hwnas.zoo._ofa_mobilenetv3 import ofa_mobilenetv3, read_ofa, write_ofa
from hwnas.zoo._proxylessnas import proxylessnas
from hwnas.zoo._shufflenetv2 import shufflenetv2

__all__ = [
    "autoformer",
    "darts",
    "default_input_shape",
    "digits_cnn",
    "fbnet",
    "hat",
    "hat_features",
    "image_cnn",
    "load_space",
    "mnist_cnn",
    "mobilenetv2",
    "mobilenetv3",
    "nasbench201",
    "nasnet",
    "ofa_mobilenetv3",
    "proxylessnas",
    "read_fbnet",
    "read_hat",
    "read_nasbench201",
    "read_notation",
    "read_ofa",
    "shufflenetv2",
    "write_fbnet",
    "write_hat",
    "write_nasbench201",
    "write_ofa",
]


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
    try:
        inspect.signature(target).bind(**arguments)
    except TypeError as error:
        raise UsageError(
            f"'{reference}' cannot be made from {', '.join(arguments) or 'nothing'}: {error} "
            "(a task gives input_shape and num_classes)"
        ) from error
    if isinstance(target, type) and issubclass(target, nn.Module):
        return ModelSpace(target, **arguments)
    made = target(**arguments)
    if not isinstance(made, SearchSpace):
        raise UsageError(
            f"'{reference}' returned {type(made).__name__}; a function must return a search space "
            "(wrap a module class in hwnas.ModelSpace)"
        )
    return made


def default_input_shape(reference: str) -> tuple[int, ...] | None:
    """The shape (C, H, W) of images that a space has where nothing else is said.

    None where it has none, as for a reference of one's own that is no function or class.

    Raises:
        UsageError: there is no such space.
    """
    target: Any = _refs.load(reference) if ":" in reference else _plugins.load("spaces", reference)
    if not callable(target):
        return None
    parameter = inspect.signature(target).parameters.get("input_shape")
    shape = None if parameter is None else parameter.default
    return tuple(shape) if isinstance(shape, tuple) else None
