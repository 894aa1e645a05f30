"""Bytes of activations that are alive while operators run.

A storage is alive from the operator that makes it until Python lets go of the last tensor in it.
PyTorch keeps one Python object for each storage, so that a weak reference to it tells the end.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hwnas.cost._tracing.inputs import Inputs
from hwnas.cost._tracing.kernels import MacObserver
from hwnas.cost._tracing.trace import observed

_ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
_LSTM = torch.ops.aten.lstm.input
_CONSTANTS = (torch.ops.aten.lift_fresh.default, torch.ops.aten.lift.default)


class Liveness(MacObserver):  # type: ignore[no-untyped-call]
    """While active, knows the bytes of storages that operators have made and Python still holds.

    What operators are given and did not make (parameters, buffers) does not count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._alive: dict[int, weakref.ref[Any]] = {}
        self._outside: dict[int, Any] = {}
        self._inside_fused = False

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Count the storages of `tensors` from now on."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key not in self._alive and key not in self._outside:
                self._alive[key] = weakref.ref(storage, partial(self._freed, key, size))
                self.live += size
        self.peak = max(self.peak, self.live)

    def holds(self, storage: Any) -> bool:
        """Whether `storage` counts."""
        return storage._cdata in self._alive

    def _freed(self, key: int, size: int, _: object) -> None:
        del self._alive[key]
        self.live -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._inside_fused:
            return super().__torch_dispatch__(func, types, args, kwargs)
        if func not in _CONSTANTS:
            for tensor in tensors_in((args, kwargs)):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._alive:
                    self._outside[storage._cdata] = storage  # Held, so that its key stays its own.
        # These run as one kernel on the CPU: what they hold when taken apart does not count.
        fused = func is _ATTENTION and _has_kernel(*args, **(kwargs or {}))
        self._inside_fused = fused or func is _LSTM
        try:
            result = super().__torch_dispatch__(func, types, args, kwargs)
        finally:
            self._inside_fused = False
        if fused:
            result = self._attention(result)
        self.hold(tensors_in(result))
        return result

    def _attention(self, result: Tensor) -> Tensor:
        """The attention kernel's output in its own layout; its row sums are gone at once."""
        batch, heads, length, width = result.shape
        sums = result.new_empty(batch, heads, length, dtype=torch.float32)
        laid_out = result.new_empty(batch, length, heads, width).transpose(1, 2)
        self.hold((laid_out, sums))
        return laid_out


def peak_bytes(model: nn.Module, inputs: Inputs) -> int:
    """`peak_activation_bytes` of `model`; see `static_costs`."""

    def watch(examples: Sequence[Tensor], _: object) -> tuple[Liveness]:
        liveness = Liveness()
        liveness.hold(examples)
        return (liveness,)

    return int(observed(model, inputs, watch)[0].peak)


def _has_kernel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> bool:
    """Whether the CPU has one kernel for this attention (else it multiplies the matrices)."""
    return (
        query.dim() == key.dim() == value.dim() == 4
        and query.shape[:2] == key.shape[:2] == value.shape[:2]
        and query.shape[3] == key.shape[3] == value.shape[3]
        and dropout_p == 0
        and all(x.stride(-1) == 1 and x.shape[2] > 0 for x in (query, key, value))
    )


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors with a storage in `value`, looking into tuples, lists, dicts and slices."""
    if isinstance(value, Tensor):
        if torch._C._has_storage(value):
            yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, slice):
        yield from tensors_in((value.start, value.stop, value.step))
