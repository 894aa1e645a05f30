"""`hwnas vertex run_latency_calculator_local`: a latency calculator on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hwnas.cli._vertex_flags import Calculator, Cloud, LocalWorker, Root
from hwnas.cli._vertex_programs import calculator_of, calculator_words
from hwnas.errors import UsageError


def run_latency_calculator_local(
    worker: LocalWorker, calculator: Calculator, root: Root, cloud: Cloud
) -> None:
    """Measure on this machine what the trials of a job save, until the job ends.

    Without a calculator of your own, hwnas's measures ONNX and SavedModel.
    """
    from hwnas.vertex import calculator_flags, check_worker, job_index

    check_worker(worker.latency_worker_id, worker.num_latency_workers)
    if worker.search_job_id is None:
        raise UsageError("which job? Give --search_job_id, as search printed it")
    index = job_index(root.root_output_dir)
    job = index.find(worker.search_job_id)
    folder = None if worker.local_output_dir is None else Path(worker.local_output_dir).absolute()
    program = calculator_of(calculator, cloud, index.root, ready=True, output=folder)
    assert program is not None
    program.check()
    flags, env = calculator_flags(index, job, calculator_words(calculator, cloud))
    place = {
        "latency_worker_id": worker.latency_worker_id,
        "num_latency_workers": worker.num_latency_workers,
    }
    launch = program.launch(
        [f"--{name}={value}" for name, value in {**flags, **place}.items()], env
    )
    sys.stdout.flush()
    # From here on this process is the calculator: signals and exit code are its own.
    os.execve(launch.argv[0], launch.argv, {**os.environ, **launch.env})
