"""Searches whose networks are measured by workers elsewhere."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from processes import kill_tree, results, start, wait_for

from support import HWNAS

SEARCH = ("nets:small", "--task", "digits", "--train", "nets:quick", "--job", "job")
LIMITED = ("--trials", "3", "--budget", "latency@pixel <= 5 ms", "--device", "pixel=queue")


def test_a_search_is_killed_and_resumed_while_workers_wait(hwnas, folder: Path) -> None:
    command = [HWNAS, "worker", "--job", "job", "--device", "pixel=onnxruntime", "--lease", "5"]
    worker = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: list((folder / "job").glob("queue/pixel/workers/*")), worker)
        search = start(folder, *SEARCH, *LIMITED)
        wait_for(lambda: results(folder), search)
        kill_tree(search)
        assert worker.poll() is None
        hwnas("search", "--job", "job", "--resume")
        told, _ = worker.communicate(timeout=60)
    finally:
        worker.kill()
        worker.communicate()
    assert worker.returncode == 0, told
    assert "the job has ended" in told
    job = json.loads(hwnas("show", "job", "--json").stdout)
    assert [trial["state"] for trial in job["trials"]] == ["complete"] * 3
    assert all(0 < trial["costs"]["latency@pixel"]["value"] < 5 for trial in job["trials"])
    # Each trial is measured once; the finalists once more, in fresh processes, without a number.
    measured = sorted(path.name[:6] for path in (folder / "job/queue/pixel/results").iterdir())
    assert measured == ["000000"] * 4 + ["000001", "000002"]
    assert len(list((folder / "job/queue/pixel/results").glob("*/*"))) == len(measured)
    assert job["winner"] is not None


def test_without_a_worker_a_trial_says_so(hwnas, folder: Path) -> None:
    done = hwnas("search", *SEARCH, *LIMITED, "--max-failed", "0", check=False)
    assert done.returncode == 1
    assert "device 'pixel': no worker serves it" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_queue_cannot_be_told(hwnas) -> None:
    for device, reason in (
        ("pixel=queue?threads=2", "threads of a queue's device is the worker's"),
        ("pixel=torch?store=s3://b", "store goes with the runtime queue"),
        ("pixel=queue?store=ftp://x", "is not the URL of a store"),
    ):
        done = hwnas("search", *SEARCH, *LIMITED[:4], "--device", device, check=False)
        assert done.returncode in (1, 2)
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
    done = hwnas("measure", "x.onnx", "--device", "pixel=queue", check=False)
    assert "is served by workers" in done.stderr
