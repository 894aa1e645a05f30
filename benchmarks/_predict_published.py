"""Figures that others published, and what this project asks of its own predictor."""

from __future__ import annotations

HELP_PAPER = {
    ("nasbench201", "titan_rtx_256"): 0.987,
    ("nasbench201", "gold_6226"): 0.989,
    ("nasbench201", "fpga"): 0.985,
    ("nasbench201", "pixel2"): 0.802,
    ("nasbench201", "raspi4"): 0.890,
    ("nasbench201", "eyeriss"): 0.940,
    ("fbnet", "fpga"): 0.892,
    ("fbnet", "raspi4"): 0.887,
    ("fbnet", "eyeriss"): 0.943,
}
"""Tables 2 and 3: Spearman on the trimmed query archs, from 20 measurements."""

OTHERS = {
    "FLOPs": (0.950, 0.826, 0.900, 0.765, 0.846, 0.437),
    "layer-wise look-up": (0.667, 0.866, None, None, None, None),
    "BRP-NAS, 900": (0.814, 0.796, 0.801, 0.666, 0.847, 0.811),
    "BRP-NAS, 3,200": (0.822, 0.805, 0.828, 0.693, 0.853, 0.830),
}
"""Table 3, in the order of the test devices of NAS-Bench-201."""

META = {"MAML": (0.727, 0.718, 0.763), "Meta-SGD": (0.776, 0.821, 0.822)}
"""Table 2, in the order of the test devices of FBNet."""

HELP_FIVE = {
    ("nasbench201", "titan_rtx_256"): 0.991,
    ("nasbench201", "gold_6226"): 0.984,
    ("nasbench201", "fpga"): 0.985,
    ("nasbench201", "pixel2"): 0.890,
    ("nasbench201", "raspi4"): 0.861,
    ("nasbench201", "eyeriss"): 0.830,
    ("fbnet", "fpga"): 0.938,
    ("fbnet", "raspi4"): 0.944,
    ("fbnet", "eyeriss"): 0.968,
    ("ofa_mobilenetv3", "titan_rtx_64"): 0.987,
}
"""HELP's own evaluation with "5 samples", which are 15 measurements: Spearman on all query archs,
5 seeds, from the published checkpoints (measured once for this project)."""

GOALS = {
    ("nasbench201", "titan_rtx_256"): (0.994, 0.997),
    ("nasbench201", "gold_6226"): (0.993, 0.987),
    ("nasbench201", "fpga"): (0.997, 0.998),
    ("nasbench201", "pixel2"): (0.820, 0.898),
    ("nasbench201", "raspi4"): (0.915, 0.955),
    ("nasbench201", "eyeriss"): (0.991, 0.995),
    ("fbnet", "fpga"): (0.95, 0.97),
    ("fbnet", "raspi4"): (0.925, 0.96),
    ("fbnet", "eyeriss"): (0.985, 0.99),
    ("ofa_mobilenetv3", "titan_rtx_64"): (0.999, 0.999),
}
"""What is asked of ten measurements: Spearman on the trimmed query archs, and on all."""

MEANS = {"nasbench201": (0.950, 0.970), "fbnet": (0.953, 0.973)}
"""The same for the mean of the devices."""

ERRORS = {
    ("nasbench201", "titan_rtx_256"): (0.016, 0.99),
    ("nasbench201", "gold_6226"): (0.019, 0.92),
    ("nasbench201", "fpga"): (0.011, 1.0),
    ("nasbench201", "eyeriss"): (0.007, 1.0),
    ("fbnet", "fpga"): (0.035, 0.93),
    ("fbnet", "raspi4"): (0.035, 0.93),
    ("fbnet", "eyeriss"): (0.035, 0.93),
    ("ofa_mobilenetv3", "titan_rtx_64"): (0.008, 1.0),
}
"""Median relative error, and share within 10 %, on all query archs."""
