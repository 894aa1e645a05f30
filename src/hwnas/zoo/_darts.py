"""The space of DARTS."""

from __future__ import annotations

from hwnas.space import ModelSpace
from hwnas.zoo._cells import CellNet

OPERATIONS = (
    *("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect"),
    *("sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"),
)


def darts(
    input_shape: tuple[int, int, int] = (3, 32, 32),
    num_classes: int = 10,
    channels: int = 16,
    cells: int = 8,
) -> ModelSpace:
    """Two cells of four nodes with eight operations (Liu et al., ICLR 2019, sections 2.1 and 3.1).

    Each node sums two operations; all nodes are concatenated. 32 decisions for `normal` and
    `reduce`: `normal/op_2_0` is the first operation of the first node, `normal/input_2_0` what it
    reads (0 and 1: the two cells before; 2 up: the nodes). A cell has 8^8 x (2 x 3 x 4 x 5)^2, 242
    billion, forms, as Radosavovic et al. count it (ICCV 2019, table 1).

    Args:
        channels, cells: 16 and 8 while the paper searches, 36 and 20 in its CIFAR-10 network, 48
            and 14 in its ImageNet network.
    """
    return ModelSpace(
        CellNet, input_shape, num_classes, OPERATIONS, 4, False, channels=channels, cells=cells
    )
