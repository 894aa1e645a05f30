"""The most bytes that a forward on the CPU holds at once, from PyTorch's memory profiler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile


def measured_peak(model: nn.Module, inputs: Sequence[Tensor]) -> tuple[int, int]:
    """Peak bytes of one real forward in evaluation mode, inputs included.

    Returns:
        without the memory that one kernel takes and gives back within itself (oneDNN's layouts),
        and with it.
    """
    model.eval()
    with torch.inference_mode():
        model(*inputs)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            result = model(*inputs)
    del result
    results: Any = profiler.profiler
    events = sorted(_allocations(results.kineto_results.experimental_event_tree()))
    taken: dict[int, tuple[int, int, int]] = {}
    scratch = set()
    for place, (_, kernel, pointer, size) in enumerate(events):
        if size > 0:
            taken[pointer] = place, kernel, size
        elif pointer in taken:
            begun, owner, _ = taken.pop(pointer)
            if owner == kernel != 0:
                scratch |= {begun, place}
    live = most = kept = most_kept = sum(x.nbytes for x in inputs)
    for place, (_, _, _, size) in enumerate(events):
        live += size
        most = max(most, live)
        if place not in scratch:
            kept += size
            most_kept = max(most_kept, kept)
    return most_kept, most


def _allocations(nodes: Sequence[Any], kernel: int = 0) -> Iterator[tuple[int, int, int, int]]:
    """(time, number of the kernel or 0, address, bytes) of all that is taken or given back."""
    for node in nodes:
        fields = node.extra_fields
        if hasattr(fields, "alloc_size"):
            yield node.start_time_ns, kernel, fields.ptr, fields.alloc_size
        inner = kernel or (node.id if _is_kernel(node.name) else 0)
        yield from _allocations(node.children, inner)


@cache
def _is_kernel(name: str) -> bool:
    """Whether an operator is not made of others that Python could run itself."""
    overloads = _overloads().get(name, [])
    return bool(overloads) and not any(
        torch._C._dispatch_has_kernel_for_dispatch_key(overload, "CompositeImplicitAutograd")
        for overload in overloads
    )


@cache
def _overloads() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in torch._C._dispatch_get_all_op_names():
        found.setdefault(name.partition(".")[0], []).append(name)
    return found
