"""`hwnas evaluate`: the accuracy of a classifier on a folder of images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli._console import err, print_json, say
from hwnas.cli._options import JsonOption
from hwnas.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from hwnas.tasks import Preparation

EPILOG = "Example: hwnas evaluate net.onnx --data imagenet/val --size 192"


def evaluate(
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A folder written by hwnas export; or an ONNX file; or module:name or "
            "file.py:name of an nn.Module or of a function that makes one.",
            show_default=False,
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="Images as class/image.jpg, a folder or a zip.",
            show_default=False,
        ),
    ],
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Of a module: .safetensors, or a state_dict saved by torch (which is read without "
            "unpickling).",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Height and width of the input; by default what the ONNX file or the export "
            "says, else 224.",
        ),
    ] = None,
    resize: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="What the shorter side is scaled to before the middle is cut out; by default "
            "size / 0.875.",
        ),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B", help="Of each channel (0 to 1); by default ImageNet's; one for grey."
        ),
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="What each channel is divided by.")
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Which folder is which class: a folder's name a line, or JSON; by default the "
            "folders are the classes in the order of their names.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Images per call.")] = 64,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of torch, such as cuda:0.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Evaluate a classifier on images in class folders: top-1 and top-5 accuracy."""
    from hwnas.tasks import evaluate_folder, read_class_map

    model, preparation = _load(what, weights, size)
    changes: dict[str, Any] = {
        "size": size,
        "resize": resize,
        "mean": _numbers("--mean", mean),
        "std": _numbers("--std", std),
    }
    preparation = replace(preparation, **{k: v for k, v in changes.items() if v is not None})
    labels = read_class_map(classes) if classes is not None else None
    with _progress() as progress:
        found = evaluate_folder(
            model,
            data,
            preparation,
            labels=labels,
            batch_size=batch_size,
            device=device,
            progress=progress,
        )
    if json:
        print_json({"model": what, "data": data, **asdict(found), **asdict(preparation)})
        return
    say(f"{what}: {found.images} images, {found.classes} classes")
    say(f"top-1 {found.top1:.2%}, top-5 {found.top5:.2%}".replace("%", " %"))


def _load(
    what: str, weights: Path | None, size: int | None
) -> tuple[nn.Module | Path, Preparation]:
    from hwnas.tasks import Preparation, image_size

    if ":" in what:
        return _module(what, weights), Preparation()
    if weights is not None:
        raise UsageError(f"--weights: {what} holds its weights; leave it out")
    if what.endswith(".onnx"):
        return Path(what), Preparation(size=size or image_size(Path(what)) or 224)
    from hwnas.report import read_classifier

    return read_classifier(Path(what))


def _module(what: str, weights: Path | None) -> nn.Module:
    from hwnas.cli._measure import load_module

    model = load_module(what)
    if weights is not None:
        state = _state(weights)
        try:
            model.load_state_dict(state)
        except (RuntimeError, TypeError) as error:
            text = " ".join(str(error).split())
            raise DataError(f"{weights} does not fit {what}: {text}") from error
    return model


def _state(path: Path) -> dict[str, Any]:
    """Weights by name; nothing is unpickled."""
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise DataError(f"--weights {path}: there is no such file")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise DataError(f"{path} holds no weights: {str(error).splitlines()[0]}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise DataError(f"{path} holds {type(state).__name__}, not a state_dict")
    return state


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} '{text}': write numbers, such as 0.485,0.456,0.406") from None


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar where there is a terminal."""
    if not err.is_terminal:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=err, transient=True) as bar:
        task = bar.add_task("images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
