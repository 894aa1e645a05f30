"""What `flops` counts, as options."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from hwnas.errors import UsageError

if TYPE_CHECKING:
    from hwnas.cost import Counting

COUNTING_HELP = (
    "What flops counts: plain (2 x MACs, the default), bias (2 x MACs + biases) or nni (as NNI's "
    "profiler: MACs + biases + batch norms + activations)."
)
BIAS_HELP = "The same as --counting bias."


class CountingName(str, Enum):
    """The names that `--counting` knows."""

    plain = "plain"
    bias = "bias"
    nni = "nni"


def chosen_counting(name: CountingName | None, count_bias: bool) -> Counting:
    """What `--counting` and `--count-bias` say together.

    Raises:
        UsageError: they contradict each other.
    """
    from hwnas.cost import Counting

    if count_bias and name not in (None, CountingName.bias):
        raise UsageError(f"--count-bias and --counting {name.value} contradict each other")
    if name is CountingName.nni:
        return Counting.nni()
    return Counting(bias=count_bias or name is CountingName.bias)
