"""The tutorial's trainer and latency calculator, in TensorFlow, in an environment of their own."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import hwnas
from hwnas.vertex import LocalProgram, run_vertex_search, run_vertex_train
from support import ROOT, data_path

TUTORIAL = Path(__file__).parent / "tutorial"
OURS = {
    "import cloud_nas_utils\n": "from hwnas.vertex import cloud_nas_utils\n",
    "import metrics_reporter\n": "from hwnas.vertex import metrics_reporter\n",
    "import model_metrics_evaluator\n": "from hwnas.vertex import model_metrics_evaluator\n",
}
"""The lines that are other ones here; no others are."""


@pytest.fixture(scope="module")
def tensorflow() -> Path:
    """The Python that has TensorFlow."""
    python = ROOT / ".peers" / "tensorflow" / "bin" / "python"
    if not list(python.parent.parent.glob("lib/python*/site-packages/tensorflow")):
        pytest.skip("there is no TensorFlow (make tensorflow; Python 3.11 or older)")
    return python


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published test images as the file that Keras keeps."""
    images, labels = (
        np.frombuffer(gzip.decompress(data_path(f"mnist/{name}").read_bytes()), np.uint8, -1, start)
        for name, start in (("t10k-images-idx3-ubyte.gz", 16), ("t10k-labels-idx1-ubyte.gz", 8))
    )
    file = tmp_path_factory.mktemp("mnist") / "mnist.npz"
    pictures = images.reshape(-1, 28, 28)
    np.savez(
        file,
        x_train=pictures[:2000],
        y_train=labels[:2000],
        x_test=pictures[9000:],
        y_test=labels[9000:],
    )
    return file


def program(
    folder: Path,
    python: Path,
    mnist: Path,
    source: str,
    imports: Mapping[str, str],
    path: Path,
) -> LocalProgram:
    """An executable that runs a program of the tutorial with these imports, on this Python."""
    text = (TUTORIAL / source).read_text()
    for theirs, ours in imports.items():
        text = text.replace(theirs, ours)
    file = folder / source
    file.write_text(text)
    script = folder / source.removesuffix(".py")
    script.write_text(
        "#!/bin/sh\n"
        f"export PYTHONPATH='{path}:{TUTORIAL}' TF_CPP_MIN_LOG_LEVEL=2 CUDA_VISIBLE_DEVICES=\n"
        f"exec '{python}' '{TUTORIAL / 'with_mnist.py'}' '{mnist}' '{file}' \"$@\"\n"
    )
    script.chmod(0o755)
    return LocalProgram(str(script))


@pytest.mark.timeout(600)
def test_the_tutorial(
    tmp_path: Path, tensorflow: Path, mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With our import lines, then once more as a process that knows nothing of hwnas.

    The latter saves to the older place, and is the second stage of the former's trials.
    """
    monkeypatch.chdir(TUTORIAL)
    package = Path(hwnas.__file__).parents[1]
    made = tmp_path / "programs"
    made.mkdir()
    calculator = program(made, tensorflow, mnist, "latency_computation.py", OURS, package)
    ours = program(made, tensorflow, mnist, "mnist_search.py", OURS, package)
    flags = {"num_epochs": "1", "target_latency_millisec": "3.0"}
    job, full = tmp_path / "job", tmp_path / "full"

    def measuring(url: str) -> subprocess.Popen[bytes]:
        log = open(tmp_path / "calculator.log", "ab")  # noqa: SIM115 - the process writes it
        words = [f"--nas_job_id={url}", "--dummy_flag=example"]
        with log:
            launch = calculator.launch(words, {})
            return subprocess.Popen(
                launch.argv, env={**os.environ, **launch.env}, stdout=log, stderr=log
            )

    first = measuring(f"file://{job}")
    try:
        view = run_vertex_search(
            ours,
            "search_spaces.two_convolutions",
            job,
            metric="nas_reward",
            flags=flags,
            trials=2,
            parallel=1,
            max_failed=0,
            trial_timeout=200,
        )
        assert first.wait(timeout=60) == 0
    finally:
        first.kill()
    for trial in view.trials:
        metrics = trial.metrics
        assert metrics["top_1_accuracy"] > 0.3
        assert 0 < metrics["latency_millisec"] < 1000
        expected = metrics["top_1_accuracy"] * min(1.0, 3.0 / metrics["latency_millisec"])
        assert metrics["nas_reward"] == pytest.approx(expected)
        assert metrics["kernel_size_0"] == trial.arch["[0].kernel_size"]
        assert (job / f"nas/search/{trial.number + 1}/saved_model/saved_model.pb").exists()

    (tmp_path / "theirs").mkdir()
    theirs = program(
        tmp_path / "theirs", tensorflow, mnist, "mnist_search.py", {}, TUTORIAL / "theirs"
    )
    second = measuring(f"file://{full}/nas/train")
    try:
        view = run_vertex_train(
            theirs,
            job,
            [2],
            full,
            metric="nas_reward",
            flags={**flags, "model_dir": "model"},
            max_failed=0,
            trial_timeout=200,
        )
    finally:
        second.kill()
        second.wait()
    (trial,) = view.trials
    assert trial.metrics["latency_millisec"] > 0
    assert (full / "nas/train/1/model/model_latency.json").exists()
    again = (full / "nas/train/1/nas_params_str.json").read_text()
    assert again.replace(" ", "") == "".join(
        (job / "nas/search/2/nas_params_str.json").read_text().split()
    )
