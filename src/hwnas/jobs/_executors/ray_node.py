"""What runs on a machine of a Ray cluster: an actor with one process that trains."""

from __future__ import annotations

import os
import platform
import queue
import sys
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from hwnas import __version__
from hwnas._process import Message
from hwnas.errors import describe
from hwnas.jobs._executors.base import Training
from hwnas.jobs._executors.local import LocalExecutor, LocalOptions
from hwnas.jobs._executors.ray import SEEN
from hwnas.jobs._folder.job import Job
from hwnas.jobs._folder.place import Place
from hwnas.jobs._folder.spec import JobSpec


@dataclass
class _Obedient(LocalExecutor):
    """A local executor that is told what to do by messages among its events."""

    def _began(self, number: int) -> None:
        self.events.put({"type": "began", "trial": number})

    def _digest(self, message: Message) -> Message | None:
        if message.get("type") == "train":
            # Its folder may be another on this machine, if the job lies in a store.
            self.train(message["trial"], message["arch"], self.job.trial(message["trial"]))
        elif message.get("type") == "stop":
            self.stop(message["trial"])
        elif message.get("type") == "kill":
            self._kill(message["trial"], message["reason"])
        else:
            return super()._digest(message)
        return None


class RayNode:
    """The actor: takes orders, and tells what happened to whoever asks.

    The process that trains is the one of local trials, so it trains the same networks. It is a
    child of this process: the system kills it when this one ends.

    All methods may be called more than once for the same thing: Ray repeats calls whose answers
    got lost.
    """

    def __init__(self, setup: Message, payload: bytes) -> None:
        folder = Path(setup["folder"])
        self._shared = _read(folder / SEEN) == setup["word"]
        first = []
        if setup["copied"]:  # Ray made a folder of `working_dir`, and started us in it
            first.append(os.getcwd())
        elif self._shared and Path(setup["cwd"]).is_dir():
            os.chdir(setup["cwd"])
        sys.path[:] = dict.fromkeys([*first, *setup["path"], *sys.path])
        training = Training(
            payload=payload,
            seed=setup["seed"],
            metric=setup["metric"],
            exports=setup["exports"],
            # Elsewhere Ray brings what is printed to the search's log.
            log=Path(setup["log"]) if self._shared else Path("/dev/stderr"),
        )
        options = LocalOptions(threads=setup["threads"])
        job = Job(Place.of(setup["job"]), JobSpec.model_validate_json(setup["spec"]))
        self._executor = _Obedient(options, job, training, 1, None, queue.Queue())
        self._changed = threading.Condition()
        self._told: deque[Message] = deque()
        self._passed = 0
        self._orders: set[int] = set()
        self._ending = threading.Event()
        # Processes must be started by a thread that lives as long as this one: they end with it.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def about(self) -> Message:
        """Where this is, and what it runs with."""
        import ray

        return {
            "host": platform.node(),
            "node": ray.get_runtime_context().get_node_id(),
            "hwnas": __version__,
            "shared": self._shared,
        }

    def order(self, serial: int, message: Message) -> None:
        """Do something: train, stop or kill; each serial number counts once."""
        with self._changed:
            if serial not in self._orders:
                self._orders.add(serial)
                self._executor.events.put(message)

    def told(self, known: int, wait: float) -> list[Message]:
        """What happened after the first `known` messages; waits for one, `wait` seconds at most."""
        with self._changed:
            for _ in range(known - self._passed):
                self._told.popleft()
            self._passed = max(self._passed, known)
            self._changed.wait_for(lambda: bool(self._told), timeout=wait)
            return list(self._told)

    def close(self) -> None:
        """End the process that trains, and what it started."""
        self._ending.set()
        self._executor.events.put({"type": "wake"})
        self._thread.join()

    def _run(self) -> None:
        try:
            self._executor.warm_up(1)
            while not self._ending.is_set():
                message = self._executor.next_event(timeout=60)
                if message is not None and message["type"] != "wake":
                    self._tell(message)
        except Exception as error:  # noqa: BLE001 - told, or the trial would wait for ever
            self._tell({"type": "broken", "reason": describe(error)})
        finally:
            self._executor.close()
            self._tell({"type": "closed"})

    def _tell(self, message: Message) -> None:
        with self._changed:
            self._told.append(message)
            self._changed.notify_all()


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
