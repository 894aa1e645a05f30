"""A latency calculator in the form of the published ones, with a device that is easy to follow.

It "measures" the size of a model's weights, and notes each call in a file beside the job's.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from pathlib import Path
from typing import Any

from hwnas.jobs import InfeasibleModel
from hwnas.vertex import cloud_nas_utils, model_metrics_evaluator


class Calculator(model_metrics_evaluator.ModelMetricsEvaluator):
    how = "well"

    def evaluate_saved_model(self, trial_id: int, saved_model_path: str) -> dict[str, Any]:
        if "://" not in self.job_output_dir:
            notes = Path(self.job_output_dir).parent.parent / "measured.txt"
            with open(notes, "a") as file:
                file.write(f"{trial_id} {self.latency_worker_id} {os.getpid()}\n")
        if self.how == "slow":
            time.sleep(2)
        if self.how == "hangs":
            time.sleep(600)
        if self.how == "fails":
            raise RuntimeError("no kernel for this operator")
        if self.how == "infeasible":
            raise InfeasibleModel("out of memory")
        if self.how == "nan":
            return {"latency_in_milliseconds": float("nan"), "model_memory": 0}
        size = len((Path(saved_model_path) / "weights").read_bytes())
        return {"latency_in_milliseconds": size + 0.5, "model_memory": 0, "power": 2.0}


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--latency_worker_id", type=int, default=0)
    flags.add_argument("--num_latency_workers", type=int, default=1)
    flags.add_argument("--project_id", default="")
    flags.add_argument("--nas_job_id", default="")
    flags.add_argument("--service_endpoint", default="")
    flags.add_argument("--how", default="well")
    flags.add_argument("--lease", type=float, default=30.0)
    flags.add_argument("--idle", type=float)
    given = flags.parse_args()
    cloud_nas_utils.setup_logging()
    calculator = Calculator(
        service_endpoint=given.service_endpoint,
        project_id=given.project_id,
        nas_job_id=given.nas_job_id,
        latency_worker_id=given.latency_worker_id,
        num_latency_workers=given.num_latency_workers,
    )
    calculator.how = given.how
    calculator.run_continuous_evaluation_loop(lease=given.lease, poll=0.1, idle=given.idle)
    logging.info("ended well")


if __name__ == "__main__":
    main()
