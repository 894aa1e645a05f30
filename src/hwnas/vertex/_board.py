"""What trials and latency calculators of a job tell each other, through the job's store."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hwnas.errors import StoreError
from hwnas.jobs import LifeCycle, Store, Watch
from hwnas.vertex._layout import ANSWER, MODEL_DIRS, PARAMS, Stage

T = TypeVar("T")

_log = logging.getLogger(__name__)

_REQUEST = "latency_request.json"
_READY = "saved_model.pb"


class _Running(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    attempt: str


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    model: str
    folder: str
    before: int = Field(default=0, ge=0)
    """How often the attempt has asked for this place before."""


@dataclass(frozen=True)
class Failed:
    """What a calculator answers where it has no numbers; `status` is `failed` or `infeasible`."""

    status: str
    error: str


@dataclass(frozen=True)
class SavedModel:
    """A model that waits to be measured.

    `model` is its folder or file and `folder` where the answer goes, both below the trial's folder.
    `work` is what is claimed. `requested` says that the trainer asked, and that the model is whole;
    without, it may still be written.
    """

    trial: int
    work: str
    model: str
    folder: str
    requested: bool


class Board:
    """One stage of a job. Under `latency/<stage>/`:

    `running/<trial>` a trial that runs, and in which attempt; `workers/<i>/<name>` a calculator
    that lives; `claims/...` and `beats/...` who measures what (see `hwnas.jobs.Claims`). Under
    `nas/<stage>/<trial>/`: `latency_request.json` which model the trainer waits for, beside the
    trainer's own files.
    """

    def __init__(self, job: Store, stage: Stage) -> None:
        self.job, self.stage = job, stage
        self.store = job.within(f"latency/{stage}")
        self.trials = job.within(f"nas/{stage}")

    @classmethod
    def at(cls, job: str, stage: Stage) -> Board:
        """The board of the job in a folder or at a URL."""
        return cls(Store(job), stage)

    def begin(self, trial: int, params_str: str) -> None:
        """A trial starts, maybe again: what an earlier attempt was told does not count.

        Its arch is kept where a later training looks for it, whatever the trainer itself keeps.
        """
        self.trials.put(f"{trial}/{PARAMS}", params_str.encode())
        for folder in self._folders(trial):
            self.trials.delete(_name(trial, folder, ANSWER))
        self.trials.delete(f"{trial}/{_REQUEST}")
        running = _Running(attempt=uuid.uuid4().hex[:12])
        self.store.put(f"running/{trial}", running.model_dump_json().encode())

    def end(self, trial: int) -> None:
        """A trial has ended: nobody waits for its measurements."""
        self.store.delete(f"running/{trial}")

    def failure(self, trial: int) -> Failed | None:
        """Why the trial's model could not be measured, if so."""
        for folder in self._folders(trial):
            told = self._trainers(_name(trial, folder, ANSWER), dict[str, Any])
            if told is not None and told.get("status", "ok") != "ok":
                return Failed(status=str(told["status"]), error=str(told.get("error")))
        return None

    @property
    def ended(self) -> bool:
        """Whether the job wants nothing any more."""
        return LifeCycle(self.job).ended

    def request(self, trial: int, model: str, folder: str) -> str:
        """Ask for the measurement of a model that is whole; what was asked becomes a claim's work.

        Asked again for the same place, it is measured again. The first time a calculator may have
        found the model by itself, and its answer counts.
        """
        last = self._trainers(f"{trial}/{_REQUEST}", _Request)
        before = last.before + 1 if last is not None and last.model == model else 0
        if before:
            self.trials.delete(_name(trial, folder, ANSWER))
        asked = _Request(model=model, folder=folder, before=before)
        self.trials.put(f"{trial}/{_REQUEST}", asked.model_dump_json().encode())
        running = self.store.read(f"running/{trial}", _Running)
        return _work(trial, running.attempt if running else "", asked)

    def waiting(self) -> Iterator[SavedModel]:
        """The models of running trials that nobody has answered for, by trial number."""
        numbers = (name.rpartition("/")[2] for name in self.store.names("running"))
        for trial in sorted(int(number) for number in numbers if number.isdecimal()):
            try:
                yield from self._waiting_of(trial)
            except StoreError as error:  # what it asks for is no name of this store
                _log.warning("trial %s: %s", trial, error)

    def _waiting_of(self, trial: int) -> Iterator[SavedModel]:
        running = self.store.read(f"running/{trial}", _Running)
        if running is None:
            return
        request = self._trainers(f"{trial}/{_REQUEST}", _Request)
        unasked = [_Request(model=folder, folder=folder) for folder in MODEL_DIRS]
        for one in unasked if request is None else [request]:
            names = self.trials.names(_name(trial, one.folder))
            if _name(trial, one.folder, ANSWER) in names:
                continue
            if request is not None or _name(trial, one.folder, _READY) in names:
                work = _work(trial, running.attempt, one)
                yield SavedModel(trial, work, one.model, one.folder, request is not None)

    def _folders(self, trial: int) -> list[str]:
        """Where an answer for the trial may be."""
        request = self._trainers(f"{trial}/{_REQUEST}", _Request)
        asked = [] if request is None else [request.folder]
        return list(dict.fromkeys([*asked, *MODEL_DIRS]))

    def _trainers(self, name: str, kind: type[T]) -> T | None:
        """A file of the trial's own; as if it were not there, if it holds something else."""
        data = self.trials.get(name)
        try:
            return None if data is None else TypeAdapter(kind).validate_json(data)
        except ValidationError:
            return None

    def files(self, model: SavedModel) -> list[str]:
        """The names of a model's files, below the trial's folder."""
        prefix = f"{model.trial}/"
        names = [one.removeprefix(prefix) for one in self.trials.names(str(model.trial))]
        return [one for one in names if one == model.model or one.startswith(f"{model.model}/")]

    def answer(self, model: SavedModel, answer: Mapping[str, Any]) -> bool:
        """Tell what was measured; False if an answer is there."""
        data = json.dumps(answer, indent=2, allow_nan=False).encode()
        return self.trials.create(_name(model.trial, model.folder, ANSWER), data)


class Workers:
    """The latency calculators of a stage, as one process sees them."""

    def __init__(self, board: Board) -> None:
        self._store = board.store
        self._watch = Watch()
        self._before = set(self._store.names("workers"))

    def ready(self, part: int) -> bool:
        """Whether a calculator of a part has begun to look for models, since this was made."""
        return not self._before.issuperset(self._store.names(f"workers/{part}"))

    def silences(self, part: int | None = None) -> dict[str, float]:
        """For each calculator (of a part), the seconds without a sign of life from it."""
        names = self._store.names("workers" if part is None else f"workers/{part}")
        return {name: self._watch.silence(name, self._store.get(name)) for name in names}


def path_of(store: Store) -> str:
    """The folder of a store, or its URL where it is none."""
    return store.url.removeprefix("file://")


def _name(trial: int, *parts: str) -> str:
    return "/".join(filter(None, (str(trial), *parts)))


def _work(trial: int, attempt: str, asked: _Request) -> str:
    place = hashlib.sha256(asked.model.encode()).hexdigest()[:12]
    return f"{trial}-{attempt}-{place}-{asked.before}"
