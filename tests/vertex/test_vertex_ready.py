"""The calculator for those who have none: ONNX, and SavedModel where TensorFlow is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from torch import nn

import hwnas
from hwnas.device import export_onnx
from hwnas.errors import DeviceError
from hwnas.vertex.ready_calculator import ReadyCalculator
from support import ROOT

SAVED = """
import json, sys
sys.path.append(sys.argv[1])  # PyTorch, which hwnas.device imports
import tensorflow as tf
from hwnas.vertex.ready_calculator import ReadyCalculator
layers = [tf.keras.layers.Flatten(input_shape=(8, 8)), tf.keras.layers.Dense(10)]
tf.keras.Sequential(layers).save(sys.argv[2])
calculator = ReadyCalculator(service_endpoint="", project_id="", nas_job_id=sys.argv[3])
print(json.dumps(calculator.evaluate_saved_model(1, sys.argv[2])))
"""


@pytest.fixture
def calculator(tmp_path: Path) -> ReadyCalculator:
    return ReadyCalculator(service_endpoint="", project_id="", nas_job_id=str(tmp_path))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "saved_model" / "net.onnx"
    file.parent.mkdir()
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 10)).eval()
    export_onnx(net, (torch.zeros(1, 1, 8, 8),), file)
    return file


def sound(answer: dict[str, float]) -> bool:
    low, value, high = (
        answer[f"latency_{which}in_milliseconds"] for which in ("low_", "", "high_")
    )
    return 0 < low <= value <= high and answer["model_memory"] >= 0


def test_onnx_by_its_folder_or_its_file(calculator: ReadyCalculator, model: Path) -> None:
    assert sound(calculator.evaluate_saved_model(1, str(model.parent)))
    assert sound(calculator.evaluate_saved_model(2, str(model)))


def test_what_is_no_model(calculator: ReadyCalculator, model: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"neither an ONNX file nor saved_model\.pb"):
        calculator.evaluate_saved_model(1, str(tmp_path))
    (model.parent / "other.onnx").write_bytes(model.read_bytes())
    with pytest.raises(DeviceError, match="2 ONNX files"):
        calculator.evaluate_saved_model(1, str(model.parent))
    model.write_bytes(b"not a model")
    with pytest.raises(DeviceError, match=r"cannot read .*net\.onnx"):
        calculator.evaluate_saved_model(1, str(model))


def test_saved_model_without_tensorflow_is_told(
    calculator: ReadyCalculator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(DeviceError, match="TensorFlow is not installed beside hwnas"):
        calculator.evaluate_saved_model(1, str(tmp_path))


def test_saved_model(tmp_path: Path) -> None:
    python = ROOT / ".peers" / "tensorflow" / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    here = python.parent.parent / "lib" / version / "site-packages"
    if not (here / "tensorflow").exists():
        pytest.skip(f"there is no TensorFlow for {version} (make tensorflow)")
    (tmp_path / "job").mkdir()
    words = [sysconfig.get_path("purelib"), str(tmp_path / "model"), str(tmp_path / "job")]
    done = subprocess.run(
        [str(python), "-c", SAVED, *words],
        env={**os.environ, "PYTHONPATH": str(Path(hwnas.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert sound(answer)
    assert answer["device_type"] == "CPU"
