"""Trials on the machines of a Ray cluster: the coordinator's end."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from hwnas._files import write_text
from hwnas._process import Child, Message
from hwnas.errors import JobError, UsageError
from hwnas.jobs._executors.base import Executor, ExecutorOptions
from hwnas.jobs._executors.local import cores
from hwnas.jobs._folder.trial_folder import TrialFolder

if TYPE_CHECKING:
    from hwnas.jobs._folder.spec import JobSpec

SEEN = ".seen"
"""A file in the job's folder: a machine that reads the right word in it shares the folder."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
}
_OWN = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on any system: listen on the loopback address only
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}
_CLOSING = 20.0  # seconds for Ray to end in good order, before it is killed


class RayOptions(ExecutorOptions):
    """What the Ray executor can be told.

    Attributes:
        address: of the cluster, `auto` for the one that this machine belongs to. By default a
            cluster on this machine is started for the search, and ended with it.
        cpus: of each trial, which trains with as many threads. By default 1, and in a cluster of
            its own the cores of this machine, shared out.
        gpus: of each trial; a fraction shares one.
        resources: of each trial, that the cluster's machines were started with: `pixel:1,ssd:0.5`.
        placement: `pack` fills machines as Ray does by default, `spread` uses as many as there are.
        working_dir: a folder that Ray copies to each machine, with the modules that are imported.
        wait: seconds to wait for the cluster to answer, and for a machine that is large enough if
            it has none (one that grows by itself may need them).
    """

    address: str | None = None
    cpus: float | None = Field(default=None, gt=0)
    gpus: float = Field(default=0, ge=0)
    resources: dict[str, float] = Field(default_factory=dict)
    placement: Literal["pack", "spread"] = "pack"
    working_dir: Path | None = None
    wait: float = Field(default=30, ge=0)

    @field_validator("resources", mode="before")
    @classmethod
    def _by_name(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        pairs = [one.rpartition(":") for one in given.split(",")]
        if any(not name.strip() or not amount.strip() for name, _, amount in pairs):
            raise ValueError(f"'{given}' is not of the form NAME:AMOUNT,NAME:AMOUNT")
        return {name.strip(): amount for name, _, amount in pairs}

    @field_validator("cpus", "gpus")
    @classmethod
    def _whole(cls, given: float | None) -> float | None:
        if given is not None and given > 1 and given != int(given):
            raise ValueError("more than 1 must be a whole number")
        return given

    def cpus_of(self, size: int) -> float:
        """The CPUs of each of `size` trials."""
        if self.cpus is not None:
            return self.cpus
        if self.address is not None:
            return 1
        return cores() // size or cores() / size


@dataclass
class RayExecutor(Executor):
    """Trains each trial in an actor of Ray, `size` of them, which serve many trials.

    Ray lives in a process of its own, `hwnas.jobs._executors.ray_link`, and not in this one: there
    it can fail without taking the coordinator along, and when the coordinator is killed the whole
    process group of a cluster that was started ends. An actor keeps a local process that trains:
    see `hwnas.jobs._executors.ray_node`.
    """

    Options: ClassVar[type[ExecutorOptions]] = RayOptions

    options: RayOptions
    _link: Child | None = field(init=False, default=None)
    _connected: bool = field(init=False, default=False)

    @classmethod
    def check(cls, options: ExecutorOptions, spec: JobSpec) -> None:
        """Refuse where Ray is not installed.

        Raises:
            UsageError: it is not, or the folder to copy is not there.
        """
        if importlib.util.find_spec("ray") is None:
            raise UsageError("executor 'ray' needs Ray: pip install 'hwnas[ray]'")
        assert isinstance(options, RayOptions)
        if options.working_dir is not None and not options.working_dir.is_dir():
            raise UsageError(f"executor 'ray': there is no folder {options.working_dir}")

    def warm_up(self, count: int) -> None:
        """Start the cluster and actors ahead of their first trial."""
        self._send({"type": "warm_up", "count": min(count, self.size)})

    def stop(self, number: int) -> None:
        """Ask a trial to end early."""
        self._send({"type": "order", "what": "stop", "trial": number})

    def close(self) -> None:
        """End all trials, and the cluster if it was started here."""
        if self._link is None:
            return
        self._link.send({"type": "close"})
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._link.process.wait(timeout=_CLOSING)
        self._link.kill()
        self._link = None

    def _start(self, number: int, arch: Mapping[str, Any], folder: TrialFolder) -> None:
        self._send({"type": "train", "trial": number, "arch": dict(arch)})

    def _kill(self, number: int, reason: str) -> None:
        self._send({"type": "order", "what": "kill", "trial": number, "reason": reason})

    def _digest(self, message: Message) -> Message | None:
        if "child" not in message:
            return message
        told: Message | None = message["message"]
        if message["child"] is not self._link:
            return None
        kind = None if told is None else told["type"]
        if told is None:
            self._lost()
        elif kind == "connected":
            self._connected = True
        elif kind == "broken":
            raise JobError(f"{told['reason']} (log: {self.training.log})")
        elif told["trial"] in self._running:
            if kind != "began":
                return told
            self._began(told["trial"])
        return None

    def _lost(self) -> None:
        """The process that holds Ray has ended; the next order starts another."""
        assert self._link is not None
        self._link.kill()
        self._link = None
        if not self._connected:
            raise JobError(f"Ray cannot be reached or started; its log is {self.training.log}")
        for number in self._running:
            reason = f"the connection to Ray was lost (log: {self.training.log})"
            self.events.put({"type": "failed", "trial": number, "kind": "stale", "reason": reason})

    def _send(self, message: Message) -> None:
        if self._link is None:
            self._connect()
        assert self._link is not None
        self._link.send(message)

    def _connect(self) -> None:
        word = uuid.uuid4().hex
        write_text(self.job.folder / SEEN, word)
        own = self.options.address is None
        self._connected = False
        self._link = Child(
            "hwnas.jobs._executors.ray_link",
            lambda child, message: self.events.put({"child": child, "message": message}),
            env={
                **_QUIET,
                **({**_OWN, "RAY_AUTH_TOKEN": secrets.token_hex(32)} if own else {}),
            },
            log=self.training.log,
        )
        cpus = self.options.cpus_of(self.size)
        node = {
            "path": sys.path,
            "job": self.job.address,
            "folder": str(self.job.folder.resolve()),
            "cwd": os.getcwd(),
            "word": word,
            "spec": self.job.spec.model_dump_json(),
            "log": str(self.training.log.resolve()),
            "threads": max(1, int(cpus)),
            "seed": self.training.seed,
            "metric": self.training.metric,
            "exports": {name: list(shape) for name, shape in self.training.exports.items()},
        }
        setup = {
            **self.options.model_dump(mode="json"),
            "cpus": cpus,
            "cores": cores(),
            "size": self.size,
            "node": node,
        }
        self._link.send(setup, [self.training.payload])
