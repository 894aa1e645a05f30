"""Folders or zips of image files, one folder per class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import DataError, UsageError
from hwnas.tasks._archive import open_archive
from hwnas.tasks._image_task import AugmentName, ImageTask
from hwnas.tasks._split import Rows

_PARTS = {"train": "train", "val": "valid", "valid": "valid", "validation": "valid", "test": "test"}
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")

Tree = dict[str, list[str]]
"""Folder (a class) -> the image files in it and below, sorted."""


class Images(ImageTask):
    """Image files of any size under `path`, a folder or a zip, one folder per class.

    The class folders lie at the top or under `train/`, `val/` (or `valid/`, `validation/`) and
    `test/`; a single folder around them is looked through. Hidden files and files that are not
    images are left out. Only the images that a split needs are read and decoded.

    Args:
        path: The folder or zip.
        size: Height and width that every image is scaled and cropped to, in pixels.
        grey: One channel in place of three.
        limit: See `ImageTask`; so are `valid` and `augment`.
    """

    name = "images"
    defaults = {"epochs": 20}

    def __init__(
        self,
        path: str,
        *,
        size: int = 32,
        grey: bool = False,
        limit: int | None = None,
        valid: float | None = None,
        augment: AugmentName = "shift+flip",
    ) -> None:
        super().__init__(limit=limit, valid=valid, augment=augment)
        if not 1 <= size <= 4096:
            raise UsageError(f"size={size} is not between 1 and 4096 pixels")
        self.path = path
        self.size = size
        self.grey = grey
        self._archive = open_archive(Path(path))
        self._trees = _trees(self._archive.names(), path)
        for part, tree in self._trees.items():
            for folder, files in tree.items():
                if not files:
                    raise DataError(f"{path}: class folder '{folder}' of {part} holds no image")
            unknown = sorted(set(tree) - set(self.class_names))
            if unknown:
                raise DataError(f"{path}: class '{unknown[0]}' is in {part}, but not in train")
        self.check()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return 1 if self.grey else 3, self.size, self.size

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(sorted(self._trees["train"]))

    def labels(self) -> Mapping[str, Rows]:
        return self._labels

    def pixels(self, part: str, rows: Rows) -> NDArray[np.uint8]:
        from hwnas.tasks._decode import decode  # Pillow, needed by nobody else

        names = self._names[part]
        chosen = [names[row] for row in rows]
        files = zip(map(self._archive.show, chosen), self._archive.read(chosen), strict=True)
        return decode(files, self.size, grey=self.grey)

    @cached_property
    def _labels(self) -> dict[str, Rows]:
        label = {name: index for index, name in enumerate(self.class_names)}
        return {
            part: np.repeat(
                [label[folder] for folder in sorted(tree)],
                [len(tree[folder]) for folder in sorted(tree)],
            ).astype(np.int64)
            for part, tree in self._trees.items()
        }

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        return {
            part: [name for folder in sorted(tree) for name in tree[folder]]
            for part, tree in self._trees.items()
        }


def class_tree(names: Iterable[str], path: str) -> tuple[Tree, dict[str, Tree]]:
    """The folders that stand for classes, and those of splits with the classes in each.

    The second is empty where there are no folders of splits, the first makes no sense where there
    are.

    Raises:
        DataError: there are no folders.
    """
    seen = [name for name in names if not _hidden(name)]
    root = _root(seen)
    top = _tree(seen, root)
    if not top:
        raise DataError(
            f"{path} holds no class folders; put the images of each class in a folder of its name"
        )
    inside = {folder: _tree(seen, f"{root}{folder}/") for folder in sorted(top)}
    split = any(inside[folder] for folder in top if folder.lower() in _PARTS)
    return top, inside if split else {}


def _trees(names: Iterable[str], path: str) -> dict[str, Tree]:
    """Part -> its classes, found from relative names (folders end with a slash)."""
    top, inside = class_tree(names, path)
    if not inside:
        return {"train": top}
    trees: dict[str, Tree] = {}
    for folder, tree in inside.items():
        part = _PARTS.get(folder.lower())
        if part is None:
            raise DataError(f"{path}: folder '{folder}' lies beside train and test and is neither")
        if part in trees:
            raise DataError(f"{path} holds two folders of the {part} split, one is '{folder}'")
        if not tree:
            raise DataError(f"{path}: folder '{folder}' holds no class folders")
        trees[part] = tree
    if "train" not in trees:
        raise DataError(f"{path} holds {', '.join(inside)}, but no folder 'train'")
    return trees


def _root(names: list[str]) -> str:
    """The folder that holds the classes or splits: single folders around it are looked through."""
    root = ""
    while True:
        folders = {name.split("/")[0] for name in names if "/" in name}
        if len(folders) != 1 or min(folders).lower() in _PARTS:
            return root
        inner = min(folders) + "/"
        deeper = [name[len(inner) :] for name in names if name.startswith(inner)]
        loose = any(_is_image(name) for name in (*names, *deeper) if "/" not in name)
        if loose or not any("/" in name for name in deeper):
            return root  # the one folder is a class
        root, names = root + inner, deeper


def _tree(names: list[str], root: str) -> Tree:
    tree: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        folder, slash, rest = name[len(root) :].partition("/")
        if name.startswith(root) and slash:
            tree[folder]  # an empty folder is a class too: the caller complains
            if _is_image(rest):
                tree[folder].append(name)
    return {folder: sorted(files) for folder, files in tree.items()}


def _is_image(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
