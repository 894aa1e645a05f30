"""Evaluators for queue tests, which tell what they did in a file."""

from __future__ import annotations

import os
import time
from pathlib import Path

from hwnas.jobs import Evaluator, InfeasibleModel


class Counting(Evaluator):
    """The latency is the size of the model; each evaluation is a line in `$EVALUATED`."""

    def evaluate(self, trial_id: int, model_path: Path) -> dict[str, float]:
        time.sleep(float(os.environ.get("EVALUATION_SECONDS", "0")))
        with open(os.environ["EVALUATED"], "a") as file:
            file.write(f"{trial_id} {os.getpid()}\n")
        return {"latency": float(model_path.stat().st_size), "memory": 7.0}

    def calibrate(self, model_path: Path) -> dict[str, float] | None:
        told = os.environ.get("CALIBRATION")
        return {"latency": float(told)} if told else None


class Failing(Evaluator):
    """Each trial fails in its own way."""

    def evaluate(self, trial_id: int, model_path: Path) -> dict[str, float]:
        if trial_id == 1:
            raise RuntimeError("the board is on fire")
        if trial_id == 2:
            raise InfeasibleModel("the operator Einsum is not there")
        if trial_id == 3:
            return {"latency": float("nan")}
        if trial_id == 4:
            return "fast"  # type: ignore[return-value]
        return {"latency": 1.5}
