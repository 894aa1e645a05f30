"""What NNI 3.0 takes for the same work; run by a Python that has it, prints one JSON object.

`python benchmarks/_peer_nni.py LIMIT`: nothing is waited for longer than LIMIT seconds. Each time
is a pair: seconds, and whether it came to its end. See `make peers`. Imports nothing of hwnas.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "cost"))
import cost_modules
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.execution import ExecutionEngine
from nni.nas.hub import pytorch as hub
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.oneshot.pytorch.profiler import ExpectationProfilerPenalty
from nni.nas.profiler.pytorch.flops import FlopsParamsProfiler, FlopsProfiler
from nni.nas.space import SimplifiedModelSpace
from nni.nas.strategy import Random
from nni.nas.strategy.middleware import Chain, Filter

SEARCHED = {"mobilenetv3": hub.MobileNetV3Space, "proxylessnas": hub.ProxylessNAS}
IMAGE = (1, 3, 224, 224)
SMALL = (1, 3, 32, 32)
HUB: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "ProxylessNAS": (hub.ProxylessNAS, IMAGE),
    "MobileNetV3Space": (hub.MobileNetV3Space, IMAGE),
    "ShuffleNetSpace": (hub.ShuffleNetSpace, IMAGE),
    "AutoFormer": (hub.AutoFormer, IMAGE),
    "NasBench201": (hub.NasBench201, SMALL),
    "NasBench101": (hub.NasBench101, SMALL),
    **{
        name: (lambda name=name: getattr(hub, name)(width=16, num_cells=3, dataset="cifar"), SMALL)
        for name in ("DARTS", "ENAS", "NASNet", "AmoebaNet")
    },
}
LAYERS: Any = SimpleNamespace(
    **{name: kind for name, kind in vars(nn).items() if isinstance(kind, type)},
    parameter=lambda *shape: nn.Parameter(torch.zeros(shape)),
)


def timed(run: Callable[[], Any], limit: float = 0.0) -> tuple[float, bool]:
    """How long `run` takes, and whether it ended before `limit` (if there is one)."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    began = time.perf_counter()
    try:
        run()
    except TimeoutError:
        return limit, False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return time.perf_counter() - began, True


def sample_of(mutables: dict[str, Any], state: np.random.RandomState) -> dict[str, Any]:
    sample: dict[str, Any] = {}
    for mutable in mutables.values():
        mutable.random(memo=sample, random_state=state)
    return sample


class NoTraining(ExecutionEngine):
    """Accepts models until there are `wanted`, and trains none."""

    def __init__(self, wanted: int) -> None:
        super().__init__()
        self.wanted = wanted
        self.models: list[Any] = []

    def submit_models(self, *models: Any) -> None:
        self.models += models

    def list_models(self, status: Any = None) -> Any:
        return iter(self.models)

    def idle_worker_available(self) -> bool:
        return True

    def budget_available(self) -> bool:
        return len(self.models) < self.wanted


def space_figures(make: Callable[[], Any], limit: float) -> dict[str, Any]:
    """Building a profiler, one profile, an expectation, 200 archs of the lowest 5 %."""
    space, image = make(), torch.zeros(IMAGE)
    profilers: list[FlopsProfiler] = []
    built = [timed(lambda: profilers.append(FlopsProfiler(space, image))) for _ in range(2)]
    profiler = profilers[-1]
    mutables, state = space.simplify(), np.random.RandomState(0)
    flops: list[float] = []
    took: list[tuple[float, bool]] = []
    end = time.monotonic() + min(limit / 5, 20)
    while len(flops) < 100 or (len(flops) < 2000 and time.monotonic() < end):
        sample = sample_of(mutables, state)
        took.append(timed(lambda sample=sample: flops.append(profiler.profile(sample))))
    threshold = float(np.quantile(flops, 0.05))

    even = {
        label: dict.fromkeys(mutable.values, 1 / len(mutable.values))
        for label, mutable in mutables.items()
    }
    penalty = ExpectationProfilerPenalty(profiler, baseline=1.0)
    engine = NoTraining(200)
    search = SimplifiedModelSpace.from_model(space, FunctionalEvaluator(lambda model: 0.0))
    strategy = Chain(
        Random(seed=0),
        Filter(lambda model: profiler.profile(model.sample) <= threshold, patience=100_000),
    )
    return {
        "construction": min(built),
        "one": sorted(took)[len(took) // 2],
        "expectation": timed(lambda: penalty.profile(even), min(limit, 60)),
        "feasible": timed(lambda: strategy(search, engine), limit),
    }


def works(make: Callable[[], Any], shape: tuple[int, ...]) -> bool:
    """Whether the profiler can be built for a space, and gives a number."""
    space = make()
    try:
        profiler = FlopsProfiler(space, torch.zeros(shape))
        return profiler.profile(sample_of(space.simplify(), np.random.RandomState(0))) > 0
    except Exception:  # noqa: BLE001 - it fails with errors of any kind; that is the figure
        return False


def exact(case: cost_modules.Case) -> bool:
    """Whether the profile of a plain module, without extras, is what PyTorch counts.

    It is that of one item, whatever the batch.
    """

    class Space(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.inner = case.make(LAYERS, 8)

        def forward(self, x: Any) -> Any:
            return self.inner(x)

    expected = cost_modules.counted(case.make(LAYERS, 8), case.shape(8, 16, batch=1))
    plain = dict.fromkeys(("count_bias", "count_normalization", "count_activation"), False)
    space, x = Space(), torch.zeros(case.shape(8, 16, batch=2))
    try:
        macs = FlopsParamsProfiler(space, x, **plain).profile({}).flops
        params = FlopsParamsProfiler(space, x).profile({}).params
    except Exception:  # noqa: BLE001
        return False
    return expected == {"macs": macs, "params": params}


def main() -> None:
    limit = float(sys.argv[1])
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    spaces = {name: works(make, shape) for name, (make, shape) in HUB.items()}
    modules = {name: exact(case) for name, case in cost_modules.ORDINARY.items()}
    figures = {
        "spaces": {name: space_figures(make, limit) for name, make in SEARCHED.items()},
        "hub": {"works": sum(spaces.values()), "of": len(spaces)},
        "modules": {"exact": sum(modules.values()), "of": len(modules)},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
