"""One trial without a job, to see that a trainer works."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hwnas.errors import JobError, TrialError
from hwnas.vertex._flags import as_words
from hwnas.vertex._metrics import reports
from hwnas.vertex._programs import Program
from hwnas.vertex._spaces import VertexSpace


def try_trainer(
    program: Program,
    search_space: str,
    folder: Path,
    *,
    metric: str,
    flags: Mapping[str, str],
    seed: int = 0,
) -> dict[str, float]:
    """Train a random arch of a space; the trainer prints to the terminal.

    Returns what it reported, the metric first.

    Raises:
        JobError: it cannot be started, fails, or reports no metric.
    """
    space = VertexSpace(search_space)
    program.check()
    arch = space.sample(np.random.default_rng(seed))
    place = folder / "nas" / "search" / "1"
    place.mkdir(parents=True, exist_ok=True)
    file = folder / "metrics.jsonl"
    file.unlink(missing_ok=True)
    own = {"nas_params_str": space.params_str(arch), "job-dir": str(place)}
    env = {
        "AIP_MODEL_DIR": str(place),
        "CLOUD_ML_TRIAL_ID": "1",
        "CLOUD_ML_HP_METRIC_TAG": metric,
        "CLOUD_ML_HP_METRIC_FILE": str(file),
    }
    launch = program.launch(as_words({**own, **flags}), env)
    code = subprocess.run(launch.argv, env={**os.environ, **launch.env}, check=False).returncode
    if code:
        raise JobError(f"the trainer ended with code {code}; what it printed is above")
    try:
        found = reports(file, metric)
    except TrialError as error:
        raise JobError(str(error)) from error
    if not found:
        raise JobError(f"the trainer reported no '{metric}'")
    return dict(found[-1].metrics)
