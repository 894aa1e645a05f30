"""What the metric `flops` counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hwnas.errors import CostError


@dataclass(frozen=True)
class Counting:
    """What the metric `flops` counts; `macs` are plain multiply-accumulates whatever it says.

    Operators are counted, whoever calls them: a module, a function or a recurrent layer. The batch
    given is counted whole. Of what runs inside `torch.cond`, only multiply-accumulates count.

    Attributes:
        per_mac: operations for one multiply-accumulate, 1 or 2.
        bias: one for each output element of a linear map or a convolution with a bias.
        normalization: two for each element of a batch norm, four where it has weights. Other
            norms are not counted.
        activation: one for each element of ReLU, ReLU6, ELU, sigmoid, tanh, hardtanh and leaky
            ReLU. Others are not counted.
    """

    per_mac: Literal[1, 2] = 2
    bias: bool = False
    normalization: bool = False
    activation: bool = False

    def __post_init__(self) -> None:
        if self.per_mac not in (1, 2):
            raise CostError(f"per_mac is 1 or 2, not {self.per_mac!r}")

    @classmethod
    def nni(cls) -> Counting:
        """What the FLOPs profiler of NNI 3.0 counts by default; see docs/costs.md."""
        return cls(1, bias=True, normalization=True, activation=True)


def flops_meaning(counting: Counting) -> str:
    """What `flops` counts, for every place that shows it."""
    parts = ["MACs" if counting.per_mac == 1 else f"{counting.per_mac} x MACs"]
    parts += ["biases"] if counting.bias else []
    parts += ["batch norms"] if counting.normalization else []
    parts += ["activations"] if counting.activation else []
    return " + ".join(parts)
