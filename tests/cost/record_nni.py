"""Record what NNI counts: run by a Python that has nni 3.0 (see `make peers`), no part of a test.

python tests/cost/record_nni.py > tests/cost/nni_figures.json
"""

from __future__ import annotations

import itertools
import json
import logging
from importlib.metadata import version

import torch
from nni.nas.profiler.pytorch.flops import FlopsProfiler
from nni_networks import DIFFERING, EQUAL

OPTIONS = ("count_bias", "count_normalization", "count_activation")


def main() -> None:
    """Print the figures of all networks, each option on and off."""
    logging.disable(logging.WARNING)
    figures = {}
    for name, (make, shape, *_) in {**EQUAL, **DIFFERING}.items():
        figures[name] = [
            int(
                FlopsProfiler(
                    make(), torch.zeros(shape), **dict(zip(OPTIONS, on, strict=True))
                ).profile({})
            )
            for on in itertools.product((False, True), repeat=3)
        ]
    lines = ",\n".join(f"  {json.dumps(name)}: {values}" for name, values in figures.items())
    head = f'"nni": "{version("nni")}", "options": {json.dumps(OPTIONS)}'
    print(f'{{{head}, "figures": {{\n{lines}\n}}}}')


if __name__ == "__main__":
    main()
