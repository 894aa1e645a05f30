"""A model that is loaded and can be run again and again; and what loading it took.

This module and those that it imports also run on hosts that have no hwnas: see `_remote/bundle.py`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from hwnas.device._timing.memory import PeakMemory


class Runnable(ABC):
    """A model loaded by a runtime together with its inputs, ready to run again and again.

    Attributes:
        clock: `wall`; `cpu`, the CPU time of the calling thread, where that thread does all the
            work: on a quiet host the two agree, and only the second is blind to others that take
            turns on the CPU; or `cuda events`.
        cold_start: seconds from what `Prepared` describes to the first output. The runtime's
            library is in memory by then.
        size: bytes of that on disk.
        peak_memory: bytes by which memory rose from before loading to the first outputs: of the
            process's resident set, or of the accelerator. None where nobody tells.
        energy: joules of one call, where a meter was asked for and is there.
    """

    clock: str = "wall"
    cold_start: float | None = None
    size: int | None = None
    peak_memory: int | None = None
    energy: float | None = None

    @abstractmethod
    def run(self) -> None:
        """One inference; the outputs are dropped."""

    @abstractmethod
    def outputs(self) -> list[Any]:
        """One inference; its outputs flattened, on the CPU: tensors (of a `session`: arrays)."""

    def block(self, calls: int) -> float:
        """Seconds by `clock` that `calls` inferences in a row take, the last one's end included."""
        now = time.thread_time if self.clock == "cpu" else time.perf_counter
        run = self.run
        start = now()
        for _ in range(calls):
            run()
        return now() - start


_Inputs = TypeVar("_Inputs")
_LARGE = 64 << 20  # bytes of a model that is loaded once only


def started_copies(
    start: Callable[[_Inputs], Runnable],
    inputs: Sequence[_Inputs],
    size: int,
    memory: PeakMemory | None,
    *,
    one_thread: bool,
) -> tuple[list[Runnable], list[Any]]:
    """Call `start` for each of `inputs`, once if the model is large, and run what it loads once.

    `one_thread`: the calling thread does all the work, so that its CPU time is the clock.

    Returns the copies, of which the first knows what loading and running it took; and its outputs.
    """
    if memory:
        memory.start()
    begin = time.perf_counter()
    first = start(inputs[0])
    outputs = first.outputs()
    first.cold_start = time.perf_counter() - begin
    first.size, first.peak_memory = size, memory.bytes if memory else None
    copies = [first]
    for given in inputs[1:] if size <= _LARGE else ():
        copies.append(start(given))
        copies[-1].outputs()
    if one_thread:
        for one in copies:
            one.clock = "cpu"
    return copies, outputs
