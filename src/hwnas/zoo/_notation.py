"""The notations of published archs, by the name of their space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hwnas.space import Arch
from hwnas.zoo._fbnet import read_fbnet
from hwnas.zoo._hat_format import read_hat
from hwnas.zoo._nasbench201 import read_nasbench201
from hwnas.zoo._ofa_mobilenetv3 import read_ofa

_READERS: dict[str, tuple[type, Callable[[Any], Arch]]] = {
    "fbnet": (list, read_fbnet),
    "hat": (str, read_hat),
    "nasbench201": (str, read_nasbench201),
    "ofa_mobilenetv3": (dict, read_ofa),
}


def read_notation(space: str, value: Any) -> Arch | None:
    """The arch that `value` says in the notation that was published with a space of the zoo.

    Args:
        space: the space's name.
        value: a text (NAS-Bench-201, HAT's YAML), a list (FBNet) or a dict (OFA: `ks`, `e`, `d`).

    Returns:
        None where the space has no notation of this kind.

    Raises:
        ArchError: the value is not of that notation.
    """
    kind, read = _READERS.get(space, (None, None))
    if read is None or not isinstance(value, kind or object):
        return None
    if isinstance(value, dict) and "ks" not in value:
        return None
    return read(value)
