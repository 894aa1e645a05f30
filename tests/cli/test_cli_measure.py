"""`hwnas measure MODEL`: any model, any runtime, from outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from hwnas.device import export_onnx

NET = """
from torch import nn
def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten())
instance = nn.Flatten()
number = 3
"""


@pytest.fixture(autouse=True)
def model(folder: Path) -> None:
    (folder / "mynet.py").write_text(NET)


def test_a_factory_at_several_batch_sizes(hwnas) -> None:
    done = hwnas(
        "measure", "mynet:net", "--runtime", "torch", "--precision", "bf16", "--input-shape",
        "3,8,8", "--batch-size", "1,4", "--json",
    )  # fmt: skip
    taken = json.loads(done.stdout)["measurements"]
    assert [one["environment"]["batch_size"] for one in taken] == [1, 4]
    for one in taken:
        assert one["environment"]["precision"] == "bf16"
        assert 0 < one["low"] <= one["median"] <= one["high"]
        assert one["cold_start_ms"] > 0
        assert one["size_bytes"] == 2 * 8 * 28


def test_an_onnx_file_in_int8_as_a_table(hwnas, folder: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten())
    export_onnx(net, torch.randn(1, 3, 8, 8), folder / "net.onnx")
    text = hwnas("measure", "net.onnx", "--precision", "int8", "--energy").stdout
    assert "onnxruntime" in text
    assert "int8" in text
    assert "items/s" in text
    assert "energy (mJ)" in text


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["mynet:net"], 2, "--input-shape 3,224,224"),
        (["mynet:net", "--input-shape", "3,x"], 2, "whole numbers"),
        (["mynet:number", "--input-shape", "3,8,8"], 2, "not an nn.Module"),
        (["mynet:net", "--input-shape", "3,8,8", "--batch-size", "0"], 2, "--batch-size '0'"),
        (["mynet:net", "--input-shape", "3,8,8", "--runtime", "abacus"], 2, "'abacus'"),
        (["mynet:net", "--input-shape", "3,8,8", "--precision", "fp7"], 1, "has no precision"),
        (["none.onnx"], 1, "there is no ONNX file none.onnx"),
        (["none.onnx", "--input-shape", "3,8,8"], 2, "knows the shape"),
        ([".", "--precision", "int8"], 2, "--precision: a folder"),
    ],
)
def test_mistakes_are_explained(
    folder: Path, monkeypatch, capfd, arguments: list[str], code: int, part: str
) -> None:
    from hwnas.cli import main

    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("sys.argv", ["hwnas", "measure", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    message = capfd.readouterr().err
    assert ended.value.code == code, message
    assert part in message
    assert len(message.splitlines()) == 1
