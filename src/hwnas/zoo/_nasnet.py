"""The space of NASNet."""

from __future__ import annotations

from hwnas.space import ModelSpace
from hwnas.zoo._cells import CellNet

OPERATIONS = (
    *("skip_connect", "conv_1x3_3x1", "conv_1x7_7x1", "dil_conv_3x3"),
    *("avg_pool_3x3", "max_pool_3x3", "max_pool_5x5", "max_pool_7x7"),
    *("conv_1x1", "conv_3x3", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7"),
)


def nasnet(
    input_shape: tuple[int, int, int] = (3, 32, 32),
    num_classes: int = 10,
    channels: int = 32,
    cells: int = 8,
) -> ModelSpace:
    """Two cells of five nodes with 13 operations (Zoph et al., CVPR 2018, section 3).

    Each node sums two operations (the paper's other way to combine, concatenation, is left out, as
    in the papers that came after it); nodes that no other reads are concatenated, so the
    width of the next cell depends on the graph. 40 decisions, named as in `darts`. A cell has
    13^10 x (2 x 3 x 4 x 5 x 6)^2 forms, 71,465,842 billion, as Radosavovic et al. count it
    (ICCV 2019, table 1).

    Args:
        channels: of an operation in the first cells.
        cells: 3 N + 2 for N normal cells in a row (the paper's CIFAR-10 networks: N = 6).
    """
    return ModelSpace(
        CellNet, input_shape, num_classes, OPERATIONS, 5, True, channels=channels, cells=cells
    )
