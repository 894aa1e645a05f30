"""Programs of the user: plain ones of this host, and container images."""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hwnas.errors import JobError
from hwnas.vertex import _containers


@dataclass(frozen=True)
class Launch:
    """What starts a process: its words, what to add to the environment, and its container."""

    argv: list[str]
    env: dict[str, str]
    container: str | None = None

    def clean_up(self) -> None:
        """To be called when the process has been killed: the container would live on."""
        if self.container is not None:
            _containers.remove(self.container)


class Program(ABC):
    """A trainer or a latency calculator, and how it is started."""

    @abstractmethod
    def check(self) -> None:
        """Have all that it takes to be started.

        Raises:
            JobError: it cannot be started, and why.
        """

    @abstractmethod
    def launch(
        self, words: Sequence[str], env: Mapping[str, str], folders: Sequence[Path] = ()
    ) -> Launch:
        """A process with these words and, beside the variables that there are, these ones.

        `folders` of this host must be there for it under their own names, beside the root.
        """


@dataclass(frozen=True)
class LocalProgram(Program):
    """A program of this host: a Python file, or anything that can be executed.

    What lies in the current folder can be imported, as in the images of Vertex's tutorials.
    """

    binary: str

    def check(self) -> None:
        """See `Program.check`."""
        self._words()

    def launch(
        self, words: Sequence[str], env: Mapping[str, str], folders: Sequence[Path] = ()
    ) -> Launch:
        """See `Program.launch`."""
        known = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        path = os.pathsep.join(dict.fromkeys([str(Path.cwd()), *known]))
        return Launch([*self._words(), *words], {"PYTHONPATH": path, **env})

    def _words(self) -> list[str]:
        if self.binary.endswith(".py"):
            file = Path(self.binary).absolute()
            if not file.is_file():
                raise JobError(f"there is no program {self.binary} (looked for it as {file})")
            return [sys.executable, str(file)]
        found = shutil.which(self.binary)
        if found is None:
            raise JobError(f"there is no program {self.binary} that can be executed")
        return [str(Path(found).absolute())]


@dataclass(frozen=True)
class ModuleProgram(Program):
    """A module of hwnas."""

    module: str

    def check(self) -> None:
        """There is nothing to look for."""

    def launch(
        self, words: Sequence[str], env: Mapping[str, str], folders: Sequence[Path] = ()
    ) -> Launch:
        """See `Program.launch`."""
        return Launch([sys.executable, "-m", self.module, *words], dict(env))


@dataclass(frozen=True)
class ImageProgram(Program):
    """A container image.

    Args:
        root: the URL of the store that it works in.
        mounts: folder of this host -> folder in the container.
        gpus: whether it gets the GPUs of the host, if there are any.
    """

    image: str
    root: str
    mounts: Mapping[Path, str] = field(default_factory=dict)
    gpus: bool = False

    def check(self) -> None:
        """See `Program.check`."""
        _containers.ensure_image(self.image)

    def launch(
        self, words: Sequence[str], env: Mapping[str, str], folders: Sequence[Path] = ()
    ) -> Launch:
        """See `Program.launch`."""
        root = Path(self.root.removeprefix("file://"))
        outside = [folder for folder in folders if not folder.is_relative_to(root)]
        name = f"hwnas-{uuid.uuid4().hex[:12]}"
        argv, extra = _containers.run_words(
            self.image,
            words,
            name=name,
            root=self.root,
            env=list(env),
            mounts={**self.mounts, **{folder: str(folder) for folder in outside}},
            gpus=self.gpus,
        )
        return Launch(argv, {**env, **extra}, name)
