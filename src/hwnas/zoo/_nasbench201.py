"""NAS-Bench-201: one cell of four nodes, five operations on each edge."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from hwnas.errors import ArchError
from hwnas.space import Arch, LayerChoice, ModelSpace, Value

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
"""(node, the node that it reads), in the order of an architecture string."""

_EDGE = re.compile(r"([a-z0-9_]+)~([0-2])")


class _Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def _relu_conv_norm(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(c_out),
    )


class _Cell(nn.Module):
    """Each node is the sum of its edges; node 0 is the input, node 3 the output."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        candidates: dict[str, Callable[[], nn.Module]] = {
            "none": _Zero,
            "skip_connect": nn.Identity,
            "nor_conv_1x1": lambda: _relu_conv_norm(channels, channels, 1),
            "nor_conv_3x3": lambda: _relu_conv_norm(channels, channels, 3),
            "avg_pool_3x3": lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        }
        self.edges = nn.ModuleList(
            LayerChoice(candidates, label=_label(node, source)) for node, source in EDGES
        )

    def forward(self, x: Tensor) -> Tensor:
        nodes: dict[int, Tensor] = {0: x}
        for (node, source), edge in zip(EDGES, self.edges, strict=True):
            y = edge(nodes[source])
            nodes[node] = nodes[node] + y if node in nodes else y
        return nodes[3]


class _Reduction(nn.Module):
    """Residual block that halves the resolution."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _relu_conv_norm(c_in, c_out, 3, stride=2), _relu_conv_norm(c_out, c_out, 3)
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.shortcut(x) + self.body(x)
        return y


class NasBench201(nn.Module):
    """Three stages of `cells` equal cells with 1, 2 and 4 times `channels`."""

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        channels: int = 16,
        cells: int = 5,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.body = nn.Sequential(
            *(_Cell(channels) for _ in range(cells)),
            _Reduction(channels, 2 * channels),
            *(_Cell(2 * channels) for _ in range(cells)),
            _Reduction(2 * channels, 4 * channels),
            *(_Cell(4 * channels) for _ in range(cells)),
        )
        self.head = nn.Sequential(
            nn.BatchNorm2d(4 * channels),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4 * channels, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to class scores (N, num_classes)."""
        scores: Tensor = self.head(self.body(self.stem(x)))
        return scores


def nasbench201(
    input_shape: tuple[int, int, int] = (3, 32, 32), num_classes: int = 10
) -> ModelSpace:
    """The 15,625 networks of NAS-Bench-201 (Dong and Yang, ICLR 2020, section 2).

    One decision for each edge of the cell: `node1.from0`, `node2.from0`, ... `node3.from2`.
    """
    return ModelSpace(NasBench201, input_shape, num_classes)


def read_nasbench201(text: str) -> Arch:
    """The arch of an architecture string such as `|nor_conv_3x3~0|+|none~0|...|+|...|`.

    The edges of a node may stand in any order.

    Raises:
        ArchError: the text is no such string.
    """
    nodes = text.strip().split("+")
    arch: Arch = {}
    for number, node in enumerate(nodes, start=1):
        for part in node.strip("|").split("|"):
            found = _EDGE.fullmatch(part)
            if found is None or found[1] not in OPERATIONS:
                raise ArchError(
                    f"NAS-Bench-201: '{part}' is no operation~node of the string '{text}'; "
                    f"the operations are {', '.join(OPERATIONS)}"
                )
            arch[_label(number, int(found[2]))] = found[1]
    missing = {_label(*edge) for edge in EDGES} ^ arch.keys()
    if missing:
        raise ArchError(f"NAS-Bench-201: the string '{text}' is wrong at edge {min(missing)}")
    return {_label(*edge): arch[_label(*edge)] for edge in EDGES}


def write_nasbench201(arch: Mapping[str, Value]) -> str:
    """The architecture string of an arch.

    Raises:
        ArchError: the arch is none of the space `nasbench201`.
    """
    nodes: dict[int, str] = {}
    for node, source in EDGES:
        operation = arch.get(_label(node, source))
        if operation not in OPERATIONS:
            raise ArchError(f"NAS-Bench-201: '{_label(node, source)}' is {operation!r}")
        nodes[node] = nodes.get(node, "|") + f"{operation}~{source}|"
    return "+".join(nodes.values())


def _label(node: int, source: int) -> str:
    return f"node{node}.from{source}"
