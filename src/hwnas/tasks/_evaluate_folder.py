"""Top-1 and top-5 accuracy of a classifier on a folder of images, read as it goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hwnas.errors import DataError, TrialError, UsageError
from hwnas.tasks._archive import open_archive
from hwnas.tasks._evaluate import find_device, placed
from hwnas.tasks._images import class_tree


@dataclass(frozen=True)
class Preparation:
    """How an image becomes an input; by default as ImageNet classifiers are evaluated.

    The shorter side is scaled to `resize`, the middle of `size` is cut out, and each channel of
    the pixels, 0 to 1, becomes (pixel - mean) / std. One mean means one channel: grey.

    Attributes:
        size: height and width of the input, in pixels.
        resize: in pixels; None is `size` / 0.875, rounded: 256 for 224.
    """

    size: int = 224
    resize: int | None = None
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.scaled <= 4096:
            raise UsageError(
                f"size {self.size} and resize {self.scaled}: write pixels from 1 to 4096, of which "
                "the size is not the larger"
            )
        if len(self.mean) not in (1, 3) or len(self.std) != len(self.mean):
            raise UsageError("mean and std: write three numbers each (one each for grey images)")
        if not all(value > 0 for value in self.std):
            raise UsageError(f"std: {min(self.std)} is not above 0")

    @property
    def scaled(self) -> int:
        """What the shorter side is scaled to."""
        return round(self.size / 0.875) if self.resize is None else self.resize

    def inputs(self, files: Sequence[tuple[str, bytes]]) -> Tensor:
        """Files (name, content) as (n, C, size, size), float32.

        Raises:
            DataError: one does not decode.
        """
        from hwnas.tasks._decode import decode_centre  # Pillow, needed by nobody else

        pixels = decode_centre(files, self.scaled, self.size, grey=len(self.mean) == 1)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (torch.from_numpy(pixels).float() / 255 - mean) / std


@dataclass(frozen=True)
class Accuracy:
    """Shares (0 to 1) of `images` whose class is the likeliest, or among the five likeliest."""

    top1: float
    top5: float
    images: int
    classes: int


def evaluate_folder(
    model: nn.Module | Path,
    data: str | Path,
    preparation: Preparation | None = None,
    *,
    labels: Mapping[str, int] | None = None,
    batch_size: int = 64,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Accuracy:
    """The accuracy of a classifier on images in folders of classes: `data/class/image.jpg`.

    Only the images of two batches are held at a time, decoded by as many threads as there are
    cores. A module runs in eval mode in float32, and keeps the mode and the device it came with.

    Args:
        model: a module that maps (n, C, H, W) to logits (n, classes), or an ONNX file of one.
        data: a folder or a zip.
        preparation: of the images; by default ImageNet's.
        labels: class folder -> label (from 0); by default the place of its name in their order.
        batch_size: images per call; an ONNX file with a batch size of its own keeps to that.
        device: a torch device; None takes the GPU when there is one. Not for ONNX files.
        progress: told how many images are done, of how many.

    Raises:
        DataError: there are no class folders, one holds no image, or an image does not decode.
        UsageError: an option makes no sense, the class map lacks a folder, or without one the
            folders are not as many as the model's classes.
        TrialError: the model's output is no finite logits, or does not have a label of the data.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; it is at least 1")
    images = _Images(data, preparation or Preparation(), labels)
    if isinstance(model, nn.Module):
        was_training = model.training
        with placed(model, find_device(device)) as place, torch.no_grad():
            model.eval()
            try:
                return _score(lambda x: model(x.to(place)), images, batch_size, progress)
            finally:
                model.train(was_training)
    if device is not None:
        raise UsageError("device: an ONNX file runs on the CPU; leave it out")
    run, fixed = _onnx(model, images.preparation)
    return _score(run, images, fixed or batch_size, progress)


class _Images:
    """The image files of a folder or zip with their labels.

    `classes` is the number of class folders, where their order gives the labels, else None.
    """

    def __init__(
        self, data: str | Path, preparation: Preparation, labels: Mapping[str, int] | None
    ) -> None:
        self.preparation = preparation
        self._archive = open_archive(Path(data))
        tree, parts = class_tree(self._archive.names(), str(data))
        if parts:
            raise UsageError(f"{data} holds {', '.join(parts)}: give the folder of one of them")
        for folder, names in tree.items():
            if not names:
                raise DataError(f"{data}: class folder '{folder}' holds no image")
            if labels is not None and labels.get(folder, -1) < 0:
                raise UsageError(f"{data}: the class map has no label for the folder '{folder}'")
        order = {folder: place for place, folder in enumerate(sorted(tree))}
        self.classes = len(tree) if labels is None else None
        chosen = order if labels is None else labels
        self._files = [(name, chosen[folder]) for folder in order for name in tree[folder]]

    def __len__(self) -> int:
        return len(self._files)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels, the next batch decoded while one is used."""
        with ThreadPoolExecutor() as pool:

            def start(first: int) -> list[Future[Tensor]]:
                names = [name for name, _ in self._files[first : first + size]]
                contents = zip(
                    map(self._archive.show, names), self._archive.read(names), strict=True
                )
                return [pool.submit(self.preparation.inputs, [one]) for one in contents]

            following = start(0)
            for first in range(0, len(self), size):
                decoding, following = following, start(first + size)
                labels = [label for _, label in self._files[first : first + size]]
                yield torch.cat([one.result() for one in decoding]), torch.tensor(labels)


def image_size(path: Path) -> int | None:
    """The height of the images that an ONNX file takes; None where it takes any.

    Raises:
        DataError: the file does not load.
    """
    shape = _session(path).get_inputs()[0].shape
    return shape[2] if len(shape) == 4 and isinstance(shape[2], int) else None


def _session(path: Path) -> Any:
    import onnxruntime

    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors have no public base class
        raise DataError(f"{path} does not load: {str(error).splitlines()[0]}") from error


def _onnx(path: Path, preparation: Preparation) -> tuple[Callable[[Tensor], Any], int | None]:
    """The classifier of an ONNX file, and its batch size if that is fixed."""
    session = _session(path)
    inputs = session.get_inputs()
    shape = inputs[0].shape
    wanted = (len(preparation.mean), preparation.size, preparation.size)
    fits = len(inputs) == 1 and len(shape) == 4
    for have, want in zip(shape[1:], wanted, strict=False):
        fits = fits and (have == want or not isinstance(have, int))
    if not fits:
        shapes = ", ".join(str(tuple(one.shape)) for one in inputs)
        raise UsageError(f"{path} takes {shapes}; the images are (n, {str(wanted)[1:]}")
    batch = shape[0] if isinstance(shape[0], int) else None

    def run(x: Tensor) -> Tensor:
        missing = (batch or len(x)) - len(x)  # a last batch is filled up
        padded = torch.cat([x, x[-1:].expand(missing, -1, -1, -1)])
        return torch.from_numpy(session.run(None, {inputs[0].name: padded.numpy()})[0])[: len(x)]

    return run, batch


def _score(
    run: Callable[[Tensor], Any],
    images: _Images,
    batch_size: int,
    progress: Callable[[int, int], None] | None,
) -> Accuracy:
    hits1 = hits5 = done = classes = 0
    for inputs, labels in images.batches(batch_size):
        logits = run(inputs)
        classes = _check(logits, labels, images.classes)
        logits = logits.float().cpu()
        own = logits.gather(1, labels[:, None])
        before = torch.arange(classes) < labels[:, None]
        # Of equal logits the first class counts as the likelier, as argmax has it.
        rank = ((logits > own) | ((logits == own) & before)).sum(1)
        hits1 += int((rank < 1).sum())
        hits5 += int((rank < 5).sum())
        done += len(labels)
        if progress is not None:
            progress(done, len(images))
    return Accuracy(hits1 / done, hits5 / done, done, classes)


def _check(logits: Any, labels: Tensor, folders: int | None) -> int:
    """The number of classes of logits that are as they should be."""
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(labels):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise TrialError(f"the model returns {got}; it must return logits ({len(labels)}, classes)")
    classes = int(logits.shape[1])
    if folders is not None and folders != classes:
        raise UsageError(
            f"the data has {folders} class folders and the model {classes} classes: give a class "
            "map that says which folder is which class"
        )
    if int(labels.max()) >= classes:
        raise TrialError(f"the model has {classes} classes; the data has label {int(labels.max())}")
    if not torch.isfinite(logits).all():
        raise TrialError("the model returns logits that are not finite")
    return classes


def read_class_map(path: Path) -> dict[str, int]:
    """Folder -> label, of a text file with a folder's name a line, in the order of the labels; or
    of a JSON file with an object: `{"folder": label}`, `{"label": "folder"}`, or with a list that
    begins with the folder, as in ImageNet's `{"0": ["n01440764", "tench"], ...}`.

    Raises:
        DataError: the file cannot be read as either.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix != ".json":
            names = [line.strip() for line in text.splitlines() if line.strip()]
            return {name: place for place, name in enumerate(names)}
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
        firsts = {
            key: value[0] if isinstance(value, list) else value for key, value in content.items()
        }
        if all(key.isdecimal() and isinstance(name, str) for key, name in firsts.items()):
            return {name: int(key) for key, name in firsts.items()}
        return {folder: int(label) for folder, label in content.items()}
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"the class map {path} cannot be read: {error}") from error
