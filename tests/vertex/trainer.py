"""A trainer that follows Vertex's protocol by itself, with nothing but the standard library.

It stands for any program that brings helper files of its own: flags, environment and files are all
that it shares with the job. `--how` names an ending.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--nas_params_str", required=True)
    flags.add_argument("--job-dir", required=True)
    flags.add_argument("--retrain_search_job_dir", default="")
    flags.add_argument("--retrain_search_job_trials", default="")
    flags.add_argument("--how", default="well")
    flags.add_argument("--latency", default="")
    given = flags.parse_args()
    trial = os.environ["CLOUD_ML_TRIAL_ID"]
    job_dir = Path(os.environ["AIP_MODEL_DIR"])
    assert str(job_dir) == given.job_dir
    params = json.loads(given.nas_params_str)
    if given.retrain_search_job_trials:
        mine = given.retrain_search_job_trials.split(",")[int(trial) - 1]
        file = Path(given.retrain_search_job_dir, mine, "nas_params_str.json")
        assert json.loads(file.read_text()) == params
    (job_dir / "nas_params_str.json").write_text(json.dumps(params))
    print("params", json.dumps(params, sort_keys=True))
    filters = [int(params[f"[{i}].filters"].split("(")[1].rstrip(")")) for i in (0, 1)]
    others = {"filters": sum(filters)}
    if given.latency:
        others["latency"] = wait_for_latency(job_dir / given.latency)
    end(given.how, sum(filters) / 20, others)


def end(how: str, reward: float, others: dict[str, float]) -> None:
    if how == "litters":
        folder = Path(os.environ["AIP_MODEL_DIR"])
        (folder / "latency_request.json").write_text('{"folder": "../../.."}')
        (folder / "saved_model").mkdir()
        (folder / "saved_model" / "model_latency.json").write_text("[")
        sys.exit(2)
    if how == "exit":
        sys.exit("data set not found")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hangs":
        time.sleep(600)
    if how == "silent":
        return
    if how == "other metric":
        report("accuracy", reward, 1, others)
        return
    if how == "nan":
        report(os.environ["CLOUD_ML_HP_METRIC_TAG"], float("nan"), 1, others)
        return
    if how == "in steps":
        report(os.environ["CLOUD_ML_HP_METRIC_TAG"], reward / 2, 1, others)
        time.sleep(1.5)
    report(os.environ["CLOUD_ML_HP_METRIC_TAG"], reward, 2, others)
    if how == "goes on":
        time.sleep(600)
    if how == "fails at last":
        sys.exit(3)


def report(tag: str, value: float, step: int, others: dict[str, float]) -> None:
    row = {"timestamp": time.time(), "trial": os.environ["CLOUD_ML_TRIAL_ID"], tag: str(value)}
    row |= {"global_step": str(step), "checkpoint_path": "", "model_flops": "0.0"}
    for index, (name, other) in enumerate(others.items()):
        row |= {f"key_{index}": name, f"value_{index}": str(float(other))}
    with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "a") as file:
        file.write(json.dumps(row) + "\n")


def wait_for_latency(folder: Path) -> float:
    """As the original's helper does it: looks for the answer, and takes what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights").write_text("1 2 3")
    (folder / "saved_model.pb").write_text("a model")
    while not (folder / "model_latency.json").exists():
        time.sleep(0.2)
    return float(json.loads((folder / "model_latency.json").read_text())["latency_in_milliseconds"])


if __name__ == "__main__":
    main()
