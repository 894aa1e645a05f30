"""Top-1 and top-5 on a folder of images: the right images, labels, order and preparation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from hwnas.device import export_onnx
from hwnas.errors import DataError, HwnasError, TrialError, UsageError
from hwnas.tasks import Preparation, evaluate_folder, read_class_map

PLAIN = Preparation(size=8, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
CLASSES = 7


class Nearest(nn.Module):
    """Class k is likelier the nearer the mean of the input is to k / 10."""

    def __init__(self, classes: int = CLASSES, shift: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("centres", torch.arange(classes) / 10 + shift)

    def forward(self, x: Tensor) -> Tensor:
        return -(x.mean((1, 2, 3))[:, None] - self.centres).abs()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images of each of seven classes, of brightness k / 10, in several formats."""
    root = tmp_path / "val"
    for k in range(CLASSES):
        folder = root / f"class{k}"
        folder.mkdir(parents=True)
        for number, name in enumerate(("a.png", "b.JPEG", "c.bmp")):
            pixels = np.full((20 + number, 31 - number, 3), round(25.5 * k), np.uint8)
            Image.fromarray(pixels).save(folder / name, quality=100)
    (root / "class0" / "notes.txt").write_text("no image")
    (root / ".hidden").mkdir()
    return root


def test_all_right_and_all_wrong(images: Path) -> None:
    told: list[tuple[int, int]] = []
    model = Nearest().train()
    found = evaluate_folder(
        model, images, PLAIN, batch_size=4, progress=lambda done, total: told.append((done, total))
    )
    assert (found.top1, found.top5, found.images, found.classes) == (1.0, 1.0, 21, CLASSES)
    assert told[-1] == (21, 21)
    assert [done for done, _ in told[:-1]] == [4, 8, 12, 16, 20]
    assert model.training
    # One class too high: only the highest class is right, by having none above.
    shifted = evaluate_folder(Nearest(shift=-0.1), images, PLAIN)
    assert shifted.top1 == pytest.approx(1 / 7)
    assert shifted.top5 == 1.0
    # Five too high: only the last class and what is at most four ranks off.
    far = evaluate_folder(Nearest(shift=-0.55), images, PLAIN)
    assert far.top1 == pytest.approx(1 / 7)
    assert 0 < far.top5 < 1


def test_ties_go_to_the_first_class(images: Path) -> None:
    constant = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, CLASSES))
    for parameter in constant.parameters():
        nn.init.zeros_(parameter)
    found = evaluate_folder(constant, images, PLAIN)
    assert (found.top1, found.top5) == (pytest.approx(1 / 7), pytest.approx(5 / 7))


@pytest.mark.parametrize("batch", [4, None])
def test_an_onnx_file_agrees_with_the_module(
    images: Path, tmp_path: Path, batch: int | None
) -> None:
    """With a fixed batch, the last one filled up, and with a free one."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, CLASSES)).eval()
    example = torch.randn(batch or 2, 3, 8, 8)
    path = tmp_path / "net.onnx"
    if batch is None:
        torch.onnx.export(net, (example,), path, dynamic_shapes=({0: "n"},), verbose=False)
    else:
        export_onnx(net, (example,), path)
    wanted = evaluate_folder(net, images, PLAIN)
    assert evaluate_folder(path, images, PLAIN, batch_size=5) == wanted
    with pytest.raises(UsageError, match="the images are"):
        evaluate_folder(path, images)


def test_images_are_prepared_as_for_imagenet(tmp_path: Path) -> None:
    """Against the definition: shorter side to `resize`, centre crop, mean and deviation."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (60, 90, 3), dtype=np.uint8))
    image.save(tmp_path / "x.png")
    prepared = Preparation(size=28, resize=32).inputs([("x", (tmp_path / "x.png").read_bytes())])
    pixels = np.asarray(image.resize((48, 32), Image.Resampling.BILINEAR))[2:30, 10:38] / 255
    wanted = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(prepared[0].numpy(), wanted.transpose(2, 0, 1), atol=1e-5)
    assert Preparation().scaled == 256
    grey = Preparation(size=8, mean=(0.5,), std=(0.5,))
    assert grey.inputs([("x", (tmp_path / "x.png").read_bytes())]).shape == (1, 1, 8, 8)


def test_class_maps(images: Path, tmp_path: Path) -> None:
    """Which folder is which class, in each format; a part of a model's classes is enough."""
    backwards = {f"class{k}": 9 - k for k in range(CLASSES)}
    lines = ["other0", "other1", "other2", *(f"class{k}" for k in reversed(range(CLASSES)))]
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    (tmp_path / "map.json").write_text(json.dumps(backwards))
    (tmp_path / "imagenet.json").write_text(
        json.dumps({str(label): [folder, "a word"] for folder, label in backwards.items()})
    )
    for name in ("lines.txt", "map.json", "imagenet.json"):
        labels = read_class_map(tmp_path / name)
        assert {folder: labels[folder] for folder in backwards} == backwards
    model = Nearest(10)
    model.centres = model.centres.flip(0)
    assert evaluate_folder(model, images, PLAIN, labels=backwards).top1 == 1.0
    with pytest.raises(UsageError, match="7 class folders and the model 10 classes"):
        evaluate_folder(model, images, PLAIN)


def test_a_zip_and_folders_around(images: Path, tmp_path: Path) -> None:
    import shutil

    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", images.parent, "val"))
    with pytest.raises(UsageError, match="holds val: give the folder of one of them"):
        evaluate_folder(Nearest(), archive, PLAIN)
    flat = Path(shutil.make_archive(str(tmp_path / "flat"), "zip", images))
    assert evaluate_folder(Nearest(), flat, PLAIN).top1 == 1.0


class Wrong(nn.Module):
    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: Tensor) -> object:
        return self.output


@pytest.mark.parametrize(
    ("model", "options", "error", "part"),
    [
        (Wrong(3), {}, TrialError, "the model returns int"),
        (Wrong(torch.zeros(1, 7)), {}, TrialError, r"returns \(1, 7\); it must return logits \(21"),
        (Wrong(torch.full((21, 7), torch.nan)), {}, TrialError, "not finite"),
        (Nearest(), {"labels": {"class0": 0}}, UsageError, "no label for the folder 'class"),
        (Nearest(3), {"labels": {f"class{k}": k for k in range(7)}}, TrialError, "has label 6"),
        (Nearest(), {"batch_size": 0}, UsageError, "batch_size is 0"),
        (Path("missing.onnx"), {}, DataError, "no such file"),
        (Path(__file__), {}, DataError, "does not load"),
    ],
)
def test_what_is_wrong_is_told(
    images: Path, model: nn.Module, options: dict, error: type[HwnasError], part: str
) -> None:
    with pytest.raises(error, match=part):
        evaluate_folder(model, images, PLAIN, **options)


def test_data_that_cannot_be_used(images: Path, tmp_path: Path) -> None:
    (images / "class1" / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png is no image"):
        evaluate_folder(Nearest(), images, PLAIN)
    (images / "class7").mkdir()
    with pytest.raises(DataError, match="'class7' holds no image"):
        evaluate_folder(Nearest(), images, PLAIN)
    with pytest.raises(DataError, match="does not exist"):
        evaluate_folder(Nearest(), tmp_path / "nowhere", PLAIN)
    for content in ("[1]", '{"a": "b"}', '{"0": []}', "\0\xff"):
        (tmp_path / "map.json").write_text(content, encoding="latin-1")
        with pytest.raises(DataError, match=r"class map .*map\.json cannot be read"):
            read_class_map(tmp_path / "map.json")


@pytest.mark.parametrize(
    "wrong",
    [{"size": 0}, {"size": 40, "resize": 32}, {"mean": (1.0, 2.0)}, {"std": (1.0, 0.0, 1.0)}],
)
def test_preparations_that_make_no_sense(wrong: dict) -> None:
    with pytest.raises(UsageError):
        Preparation(**wrong)
