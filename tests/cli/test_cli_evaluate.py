"""`hwnas evaluate MODEL --data FOLDER`, from outside."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from hwnas.device import export_onnx
from support import data_path

NET = """
from torch import nn
def net():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
"""
SPACE = """
import hwnas, mynet
space = hwnas.FunctionSpace({"width": [4, 8]}, lambda arch: mynet.net())
"""
PLAIN = ("--size", "8", "--mean", "0,0,0", "--std", "1,1,1", "--json")


def brightest() -> dict[str, torch.Tensor]:
    """Weights that choose the brightest channel."""
    return {"2.weight": torch.eye(3), "2.bias": torch.zeros(3)}


@pytest.fixture
def photos(folder: Path) -> Path:
    (folder / "mynet.py").write_text(NET)
    root = folder / "photos"
    for channel, name in enumerate(("red", "green", "violet")):
        (root / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((9 + number, 12, 3), 40, np.uint8)
            pixels[..., channel] = 200
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def test_a_module_with_weights(hwnas, photos: Path, folder: Path) -> None:
    """Folders are classes in the order of their names, unless a map says otherwise."""
    save_file(brightest(), folder / "w.safetensors")
    torch.save({"state_dict": brightest()}, folder / "w.pth")
    (folder / "classes.txt").write_text("red\ngreen\nviolet\n")
    for weights in ("w.safetensors", "w.pth"):
        call = ("evaluate", "mynet:net", "--data", "photos", "--weights", weights, *PLAIN)
        facts = json.loads(hwnas(*call, "--classes", "classes.txt").stdout)
        assert (facts["top1"], facts["top5"], facts["images"]) == (1.0, 1.0, 12)
    assert json.loads(hwnas(*call).stdout)["top1"] == pytest.approx(1 / 3)  # green, red, violet
    text = hwnas(*call[:-1], "--classes", "classes.txt").stdout
    assert "12 images, 3 classes" in text
    assert "top-1 100.00 %, top-5 100.00 %" in text


def test_an_onnx_file_of_real_images(hwnas, folder: Path) -> None:
    """A hundred CIFAR-10 images: as many hits as when the network is asked one by one."""
    with zipfile.ZipFile(data_path("cifar10-images.zip")) as archive:
        names = [n for n in archive.namelist() if n.startswith("test/") and n < "test/~"]
        chosen = [n for n in names if n.endswith(tuple(f"000{k}.jpg" for k in range(10)))]
        archive.extractall(folder / "cifar", chosen)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(392, 10)).eval()
    export_onnx(net, (torch.randn(1, 3, 32, 32),), folder / "net.onnx")
    done = hwnas("evaluate", "net.onnx", "--data", "cifar/test", "--resize", "32", "--json")
    facts = json.loads(done.stdout)
    assert facts["size"] == 32
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    hits = 0
    for label, place in enumerate(sorted((folder / "cifar/test").iterdir())):
        for file in sorted(place.iterdir()):
            pixels = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
            mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[
                ..., None, None
            ]
            hits += int(net(((pixels - mean) / std)[None]).argmax()) == label
    assert facts["images"] == len(chosen) == 100
    assert facts["top1"] == pytest.approx(hits / 100)


def test_an_exported_winner(hwnas, photos: Path, folder: Path) -> None:
    """As `hwnas export` writes it: prepared as in its training, by what the card says."""
    out = folder / "out"
    out.mkdir()
    arch = {"width": 4}
    (folder / "nets.py").write_text(SPACE)
    save_file(brightest(), out / "model.safetensors")
    card = {
        **dict.fromkeys(("job", "metric", "budget"), "x"),
        **{k: {} for k in ("metrics", "test", "costs", "violations", "references", "versions")},
        **{"trial": 0, "arch": arch, "task": None, "seed": 0, "feasible": True},
        **{"declared": [], "devices": [], "input_shape": [3, 8, 8], "num_classes": 3},
        "space": {**dict.fromkeys(("name", "fingerprint", "code_hash"), "x"), "size": 2,
                  "reference": "nets:space"},
        "pixels": [[40.0, 40.0, 210.0], [1.0, 1.0, 1.0]],
    }  # fmt: skip
    (out / "card.json").write_text(json.dumps(card))
    facts = json.loads(hwnas("evaluate", "out", "--data", "photos", "--json").stdout)
    # Green is class 0 and red class 1: wrong; violet's channel is below 0: it never wins.
    assert facts["top1"] == 0.0
    assert (facts["size"], facts["resize"]) == (8, 8)
    assert facts["mean"] == pytest.approx([40 / 255, 40 / 255, 210 / 255])
    (folder / "classes.txt").write_text("red\ngreen\nviolet\n")
    call = ("evaluate", "out", "--data", "photos", "--classes", "classes.txt", "--json")
    assert json.loads(hwnas(*call).stdout)["top1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        ([], 2, "--data"),
        (["--data", "photos", "--mean", "a,b,c"], 2, "--mean 'a,b,c'"),
        (["--data", "photos", "--weights", "odd.pth"], 1, "odd.pth does not fit"),
        (["--data", "photos", "--weights", "evil.pth"], 1, "evil.pth holds no weights"),
    ],
)
def test_mistakes_are_told_in_a_line(
    hwnas, photos: Path, folder: Path, arguments: list[str], code: int, part: str
) -> None:
    torch.save({"other": torch.zeros(1)}, folder / "odd.pth")
    torch.save({"code": print}, folder / "evil.pth")
    done = hwnas("evaluate", "mynet:net", *arguments, check=False)
    assert done.returncode == code
    assert part in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_files_know_their_weights(hwnas, photos: Path) -> None:
    done = hwnas("evaluate", "a.onnx", "--data", "photos", "--weights", "w.pth", check=False)
    assert (done.returncode, "--weights: a.onnx holds" in done.stderr) == (2, True)
