"""What a stored measurement was taken of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from hwnas.errors import DeviceError

Kind = Literal["operator", "unit", "block", "network"]


@dataclass(frozen=True)
class Item:
    """A layer, a part of a network, or a whole one: equal descriptions are the same item.

    Args:
        kind: how large it is.
        description: plain JSON values that tell it from every other item of its kind: type and
            attributes, shapes and types of its inputs (batch included).

    Raises:
        DeviceError: an unknown kind, or a description that is no plain JSON.
    """

    kind: Kind
    description: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            kinds = ", ".join(get_args(Kind))
            raise DeviceError(f"'{self.kind}' is no kind of item; the kinds are {kinds}")
        _ = self.text

    @cached_property
    def text(self) -> str:
        """The description as JSON, the same for equal descriptions."""
        try:
            return json.dumps(
                self.description, sort_keys=True, separators=(",", ":"), allow_nan=False
            )
        except (TypeError, ValueError) as error:
            raise DeviceError(f"an item is described by plain JSON values: {error}") from error

    @cached_property
    def key(self) -> str:
        """SHA-256 of kind and description."""
        return hashlib.sha256(f"{self.kind} {self.text}".encode()).hexdigest()
