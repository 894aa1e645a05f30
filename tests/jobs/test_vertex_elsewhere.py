"""Jobs of trainers that were written for Vertex, in a store that no folder is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from stores import s3_bucket, s3_server

from hwnas.jobs import Store
from hwnas.vertex import LocalProgram, run_vertex_search, run_vertex_train

HERE = Path(__file__).parents[1] / "vertex"


def test_a_search_with_a_calculator_and_its_second_stage_in_s3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trainer, calculator and job see each other through the store alone."""
    monkeypatch.chdir(HERE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    program = LocalProgram(str(HERE / "asking_trainer.py"))
    with s3_server():
        root = s3_bucket()
        for job, stage in ((f"{root}/search", "search"), (f"{root}/full", "full")):
            place = job if stage == "search" else f"{job}/nas/train"
            calculator = subprocess.Popen(
                [sys.executable, "calculator.py", f"--nas_job_id={place}"]
            )
            try:
                if stage == "search":
                    view = run_vertex_search(
                        program, "spaces.layers", job, metric="nas_reward", trials=2, max_failed=0
                    )
                else:
                    full = run_vertex_train(
                        program, f"{root}/search", [2], job, metric="nas_reward", max_failed=0
                    )
                assert calculator.wait(timeout=60) == 0
            finally:
                calculator.kill()
                calculator.wait()
        names = Store(root).names()
    for trial in view.trials:
        assert trial.metrics["latency"] == trial.metrics["filters"] + 0.5
        assert f"search/nas/search/{trial.number + 1}/saved_model/model_latency.json" in names
    assert full.trials[0].metrics == view.trials[1].metrics
