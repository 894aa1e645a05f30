"""The main job: import time, the demo, the overhead of a trial, and whether the winner holds.

Run as `python -m benchmarks.main [--quick] [--json FILE]`. Timings are medians of interleaved runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks._rows import Row, main

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 40


def imports(rounds: int) -> list[Row]:
    """Seconds that hwnas adds to `import torch`, alone and with everything a search loads."""
    programs = {
        "torch": "import torch",
        "hwnas": "import torch, hwnas",
        "search": "import torch, hwnas; hwnas.search",
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
            seconds[name].append(time.perf_counter() - began)
    base = median(seconds["torch"])
    over = {name: max(0.0, median(values) - base) for name, values in seconds.items()}
    return [
        Row("import hwnas over import torch", over["hwnas"], "s", 0.3, "lower"),
        Row("the same with hwnas.search loaded", over["search"], "s", 0.3, "lower"),
    ]


def overhead(decisions: int, trials: int, folder: Path) -> float:
    """Milliseconds between the ends of trials that do nothing, 4 at a time, processes warm."""
    from hwnas import FunctionSpace, search
    from hwnas.strategy import StudyStore

    space = FunctionSpace({f"d{i:02}": [0, 1, 2, 3] for i in range(decisions)}, _network)
    result = search(space, _nothing, trials=trials, parallel=4, strategy="random", folder=folder)
    assert len(result.view.complete) == trials
    study = StudyStore(str(folder / "study.journal"), folder.name).load()
    ends = sorted(t.datetime_complete.timestamp() for t in study.trials if t.datetime_complete)
    return 1000 * (ends[-1] - ends[WARM_UP]) / (len(ends) - 1 - WARM_UP)


def _network(arch: dict[str, object]) -> object:
    from torch import nn

    return nn.Linear(8, 8)


def _nothing(model: object, data: object, report: object, *, seed: int) -> dict[str, float]:
    return {"accuracy": 0.5}


def demo(folder: Path) -> list[Row]:
    """The demo as a user runs it, and its winner measured again by another process."""
    import json

    hwnas = str(Path(sys.executable).parent / "hwnas")
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "digits.py")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    line = next(x for x in done.stdout.splitlines() if x.startswith("search: "))
    export = folder / "runs" / "digits-winner"
    card = json.loads((export / "card.json").read_text())
    again = subprocess.run(
        [hwnas, "measure", str(export), "--json"], capture_output=True, text=True, check=False
    )
    (row,) = json.loads(again.stdout)["constraints"]
    seconds = float(line.split()[1])
    accuracy = card["test"]["accuracy"]
    return [
        Row("demo search, 24 trials, 2 parallel", seconds, "s", 90, "lower"),
        Row("demo winner's test accuracy", accuracy, "", 0.97, "higher"),
        Row("winner's latency again / budget", row["value"] / row["limit"], "", 1, "lower"),
    ]


def measure(quick: bool) -> list[Row]:
    """All rows."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = imports(3 if quick else 9)
    repeats = 1 if quick else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for decisions, target in ((6, 20.0), (67, 40.0)):
            runs = [
                overhead(decisions, 200, folder / f"idle{decisions}-{i}") for i in range(repeats)
            ]
            figure = f"overhead per trial, {decisions} decisions, 4 parallel"
            peer = (15.5, "NNI 3.0, 12-19 ms, one at a time, in process")
            rows.append(Row(figure, median(runs), "ms", target, "lower", *peer))
        rows += demo(folder)
    return rows


if __name__ == "__main__":
    main("main", measure)
