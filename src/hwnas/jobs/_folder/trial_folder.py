"""`trials/<n>/`: what a trial leaves, published whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hwnas._files import write_bytes, write_json, write_text
from hwnas._invalid import first_problem
from hwnas.errors import StoreError
from hwnas.jobs._folder.spec import Result
from hwnas.jobs._store.manifest import (
    MANIFEST,
    Manifest,
    download,
    upload,
    write_manifest,
)
from hwnas.jobs._store.store import Store

RESULT, LOG, METRICS = "result.json", "log.txt", "metrics.jsonl"
WEIGHTS = "model.safetensors"
CHECKPOINTS = "checkpoints"
_KEPT = f"{CHECKPOINTS}.json"
_PARTS, _LEFT = "kept", "left"


class TrialFolder:
    """The files of one trial: a folder where it is worked on, and the store where others see them.

    Whoever trains writes into `folder` and calls `publish` at the end. From then on the trial is
    trained, for everybody: `manifest.json` is written last, and once. Who needs files calls
    `fetch`.

    It can be made anywhere from `to_dict()`, which holds no secret.

    Args:
        folder: of this machine; made when it is needed.
        url: of the trial in the job's store; None where `folder` itself is what others see.
        job: the URL or the folder of the job, where that is not two steps up.
    """

    def __init__(self, folder: Path, url: str | None = None, job: str | None = None) -> None:
        self.folder, self.url = folder, url
        above = str(folder.parents[1]) if url is None else url.rsplit("/", 2)[0]
        self.job = job or above

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, for a process elsewhere: `TrialFolder.from_dict`."""
        return {"folder": str(self.folder), "url": self.url, "job": self.job}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> TrialFolder:
        """The trial folder that `to_dict` told of."""
        return cls(Path(told["folder"]), told["url"], told["job"])

    @property
    def where(self) -> str:
        """What to call it in messages."""
        return self.url or str(self.folder)

    @property
    def log(self) -> Path:
        """What the trial prints."""
        return self.folder / LOG

    @property
    def metrics(self) -> Path:
        """What it reports while it is trained, a line each."""
        return self.folder / METRICS

    @cached_property
    def _store(self) -> Store | None:
        return None if self.url is None else Store(self.url)

    def begin(self) -> None:
        """To be called before training: the folder, with the checkpoints of an attempt elsewhere.

        Raises:
            StoreError: the store cannot be read, or what it holds is damaged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        data = None if self._store is None else self._store.get(_KEPT)
        if self._store is None or data is None:
            return
        here = self.folder / _KEPT
        if here.is_file() and here.read_bytes() == data:
            return  # what lies here is what was stored last, or went on from that
        kept = Manifest.parse(data, f"{self.url}/{_KEPT}")
        shutil.rmtree(self.folder / CHECKPOINTS, ignore_errors=True)
        for entry in kept.files:
            download(self._store, self.folder / CHECKPOINTS, entry)
        if (steps := self._store.get(f"{_LEFT}/{METRICS}")) is not None:
            write_bytes(self.metrics, steps)
        write_text(here, data.decode())

    def keep_checkpoints(self) -> None:
        """Store the checkpoints as they are now, and the metrics of steps so far; an attempt
        on another machine goes on from there.

        Raises:
            StoreError: the store cannot be written.
        """
        source = self.folder / CHECKPOINTS
        if self._store is None or not source.is_dir():
            return
        found = Manifest.of(source)
        named = tuple(
            one.model_copy(update={"object": f"{_PARTS}/{one.sha256}"}) for one in found.files
        )
        there = set(self._store.names(_PARTS))
        for one in named:
            if one.source not in there:
                self._store.put(one.source, source / one.path)
        told = found.model_copy(update={"files": named}).model_dump_json().encode()
        self._leave(METRICS)
        self._store.put(_KEPT, told)
        write_text(self.folder / _KEPT, told.decode())
        for name in there - {one.source for one in named}:
            self._store.delete(name)

    def publish(self) -> Manifest:
        """Make what lies in the folder the trial's files, for good; the manifest that counts.

        Raises:
            StoreError: the store cannot be written.
        """
        (self.folder / _KEPT).unlink(missing_ok=True)
        found = Manifest.of(self.folder)
        if self._store is not None:
            found = upload(self._store, self.folder, found)
            for name in (_KEPT, *self._store.names(_PARTS)):  # they are among the files now
                self._store.delete(name)
        write_manifest(self.folder, found)
        return found

    def leave(self) -> None:
        """Let others see the log of an attempt that failed, and go on from its checkpoints.

        Raises:
            StoreError: the store cannot be written.
        """
        self.keep_checkpoints()
        self.leave_log()

    def leave_log(self) -> None:
        """As `leave`, of an attempt that was killed, whose last checkpoint may be half a one.

        Raises:
            StoreError: the store cannot be written.
        """
        self._leave(LOG)

    def _leave(self, name: str) -> None:
        """Beside what is published, which must stay as it is."""
        if self._store is not None and (self.folder / name).is_file():
            self._store.put(f"{_LEFT}/{name}", self.folder / name)

    def manifest(self) -> Manifest | None:
        """What was published; None if nothing was.

        Raises:
            StoreError: it cannot be read, or is damaged.
        """
        if self._store is not None:
            data = self._store.get(MANIFEST)
        else:
            path = self.folder / MANIFEST
            data = path.read_bytes() if path.is_file() else None
        return None if data is None else Manifest.parse(data, f"{self.where}/{MANIFEST}")

    def keep_result(self, result: Mapping[str, Any]) -> None:
        """Write what training gave; it counts when the trial is published."""
        write_json(self.folder / RESULT, result)

    def result(self) -> Result | None:
        """What training gave; None if the trial is not trained.

        Raises:
            StoreError: it cannot be read, or is damaged: then `discard` it and train again.
        """
        if self.manifest() is None:
            return None
        (path,) = self.fetch([RESULT])
        try:
            return TypeAdapter(Result).validate_json(path.read_bytes())
        except ValidationError as error:
            raise StoreError(f"{self.where}/{RESULT} is damaged: {first_problem(error)}") from error

    def fetch(self, paths: Sequence[str]) -> list[Path]:
        """Published files, in the folder of this machine, checked.

        Raises:
            StoreError: nothing was published, there is no such file, or it is damaged.
        """
        manifest = self.manifest()
        here = [self.folder / path for path in paths]
        if manifest is None and self._store is None and all(map(Path.is_file, here)):
            return here  # trained before there were manifests
        if manifest is None:
            raise StoreError(f"{self.where} has no {MANIFEST}: the trial is not trained")
        found = []
        for path in paths:
            entry = manifest.entry(path)
            if entry is None:
                raise StoreError(f"{self.where} has no file {path}")
            if self._store is not None:
                found.append(download(self._store, self.folder, entry))
            elif entry.matches(self.folder / path):
                found.append(self.folder / path)
            else:
                raise StoreError(
                    f"{self.folder / path} is gone or damaged: it is not what {MANIFEST} says"
                )
        return found

    def discard(self) -> None:
        """Take back what was published: the trial is to be trained again."""
        if self._store is not None:
            self._store.delete(MANIFEST)
        (self.folder / MANIFEST).unlink(missing_ok=True)

    def last_log(self, most: int = 16_384) -> str:
        """The end of the log, as far as it is published; empty where there is none."""
        if self._store is not None:
            manifest = self.manifest()
            entry = None if manifest is None else manifest.entry(LOG)
            data = self._store.get(f"{_LEFT}/{LOG}" if entry is None else entry.source) or b""
            return data[-most:].decode(errors="replace")
        try:
            with open(self.log, "rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - most))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
