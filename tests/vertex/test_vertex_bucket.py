"""A root in a bucket: the number is all that another machine needs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from support import HWNAS, ROOT

TRAINER = """
import json, os
from hwnas.vertex import cloud_nas_utils
import argparse, spaces
flags = argparse.ArgumentParser()
flags.add_argument("--nas_params_str")
flags.add_argument("--job-dir")
given = flags.parse_args()
assert given.job_dir.startswith("s3://")
folder = cloud_nas_utils.get_job_dir_from_environment_if_exist(given.job_dir)
cloud_nas_utils.parse_and_save_nas_params_str(spaces.layers(), given.nas_params_str, folder)
row = {os.environ["CLOUD_ML_HP_METRIC_TAG"]: "0.5", "global_step": "1"}
open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "a").write(json.dumps(row) + "\\n")
"""


def stores() -> Any:
    """tests/jobs/stores.py, whichever folders are being tested."""
    file = ROOT / "tests" / "jobs" / "stores.py"
    spec = importlib.util.spec_from_file_location("stores_of_jobs", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_search_in_a_bucket(tmp_path: Path) -> None:
    (tmp_path / "trainer.py").write_text(TRAINER)
    servers = stores()
    with servers.s3_server():
        url = servers.s3_bucket()

        def vertex(machine: str, *words: str) -> str:
            cache = {"XDG_CACHE_HOME": str(tmp_path / machine), "HWNAS_STORE": url}
            done = subprocess.run(
                [HWNAS, "vertex", *words],
                cwd=Path(__file__).parent,
                env={**os.environ, **cache},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        program = ("--run_local_binary=true", f"--local_binary={tmp_path / 'trainer.py'}")
        out = vertex(
            "one",
            *("search", "--job_name=mnist", "--search_space_module=spaces.layers", *program),
            *("--nas_target_reward_metric=nas_reward", "--max_nas_trial=1"),
            "--use_prebuilt_latency_calculator=true",
        )
        assert "NAS Search job ID: 1" in out
        (row,) = json.loads(vertex("another", "list_trials", "--job_id=1"))
    assert "[0].kernel" in row["parameters"]
