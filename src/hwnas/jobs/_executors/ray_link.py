"""The process that holds Ray: `python -m hwnas.jobs._executors.ray_link`.

It connects to a cluster or starts one, keeps an actor for each trial that may run at a time, and
passes orders and news between them and the coordinator.
"""

from __future__ import annotations

import itertools
import os
import re
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from hwnas import __version__
from hwnas._process import Channel, Message
from hwnas.errors import JobError, describe
from hwnas.jobs._executors.ray_node import RayNode

_STARTING = 180.0  # seconds for a cluster to start
_CONNECTING = 20.0  # seconds to reach one, and `wait` more
_POLL = 5.0  # seconds after which an actor answers that nothing has happened
_SILENCE = 60.0  # seconds without an answer after which an actor counts as lost
_LAST_WORDS = 5.0  # seconds for actors to end what they started
_STORE_BYTES = 100 << 20  # nothing but orders and the trainer goes through Ray's object store


def main() -> None:
    """Connect, then do what the coordinator says until it says `close` or is gone."""
    channel = Channel(at_once=False)
    setup, (payload,) = channel.receive()
    with ExitStack() as stack:
        scratch = None
        if setup["address"] is None:
            # Paths of sockets lie below it, and the system allows no long ones.
            folder = tempfile.TemporaryDirectory(
                prefix="hwnas-", dir="/tmp", ignore_cleanup_errors=True
            )
            scratch = stack.enter_context(folder)
        try:
            with _in_time(setup, channel):
                ray.init(**_cluster(setup, scratch))
            link = _Link(setup, payload, channel)
        except Exception as error:  # noqa: BLE001 - Ray raises many kinds
            traceback.print_exc()
            reason = f"{_no_ray(setup)}: {_cause(error)}"
            channel.send({"type": "broken", "reason": reason})
            return
        channel.send({"type": "connected"})
        while (order := channel.receive()[0])["type"] != "close":
            link.obey(order)
        link.close()
        ray.shutdown()


@contextmanager
def _in_time(setup: Message, channel: Channel) -> Iterator[None]:
    """End this process if the block does not end: Ray may wait for an address for ever."""
    patience = _STARTING if setup["address"] is None else _CONNECTING + setup["wait"]

    def give_up() -> None:
        reason = f"{_no_ray(setup)}: no answer within {patience:g} s"
        channel.send({"type": "broken", "reason": reason})
        os._exit(1)

    watch = threading.Timer(patience, give_up)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _no_ray(setup: Message) -> str:
    if setup["address"] is None:
        return "no Ray cluster can be started"
    return f"no Ray cluster can be reached at '{setup['address']}'"


def _cluster(setup: Message, scratch: str | None) -> dict[str, Any]:
    if scratch is None:
        copied = setup["working_dir"]
        return {
            "address": setup["address"],
            "runtime_env": {"working_dir": copied} if copied else None,
            "logging_level": "warning",
        }
    return {
        "address": "local",
        "num_cpus": setup["cores"],
        "object_store_memory": _STORE_BYTES,
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": "warning",
        "_temp_dir": scratch,
    }


@dataclass(eq=False)
class _Place:
    """An actor, the trial that it has, and whether that has begun."""

    actor: Any
    trial: int | None = None
    began: bool = False
    host: str = ""
    node: str = ""


class _Link:
    def __init__(self, setup: Message, payload: bytes, channel: Channel) -> None:
        self._setup = setup
        self._channel = channel
        self._lock = threading.Lock()
        self._places: list[_Place] = []
        self._serials = itertools.count()
        self._payload = ray.put(payload)
        self._kind = ray.remote(RayNode).options(
            num_cpus=setup["cpus"],
            num_gpus=setup["gpus"],
            resources=setup["resources"],
            scheduling_strategy="SPREAD" if setup["placement"] == "spread" else "DEFAULT",
            # Orders and news come in while others wait; Ray repeats calls that did not get through.
            max_concurrency=8,
            max_task_retries=-1,
            max_restarts=0,
        )

    def obey(self, order: Message) -> None:
        """Do what the coordinator says."""
        if order["type"] == "warm_up":
            while len(self._places) < order["count"]:
                self._open()
            return
        with self._lock:
            if order["type"] == "train":
                place = next((one for one in self._places if one.trial is None), None)
                place = place or self._open()
                place.trial, place.began = order["trial"], False
            else:
                found = [one for one in self._places if one.trial == order["trial"]]
                if not found:
                    return
                place, order = found[0], {**order, "type": order["what"]}
        place.actor.order.remote(next(self._serials), order)

    def close(self) -> None:
        """End what the actors started; they themselves end with the connection."""
        with self._lock:
            places, self._places = self._places, []
        ends = [place.actor.close.remote() for place in places]
        if ends:
            ray.wait(ends, num_returns=len(ends), timeout=_LAST_WORDS)

    def _open(self) -> _Place:
        node = {**self._setup["node"], "copied": self._setup["working_dir"] is not None}
        place = _Place(self._kind.remote(node, self._payload))
        self._places.append(place)
        threading.Thread(target=self._follow, args=(place,), daemon=True).start()
        return place

    def _follow(self, place: _Place) -> None:
        """Pass on what an actor tells, until it ends."""
        try:
            self._settle(place)
            known = 0
            while True:
                asked = place.actor.told.remote(known, _POLL)
                if not ray.wait([asked], timeout=_SILENCE)[0]:
                    ray.kill(place.actor)
                    self._bury(place, "stale", f"no sign of life for {_SILENCE:g} s")
                    return
                messages = ray.get(asked)
                known += len(messages)
                for message in messages:
                    if message["type"] == "closed":
                        return
                    self._pass_on(place, message)
        except JobError as error:
            self._channel.send({"type": "broken", "reason": str(error)})
        except RayActorError as error:
            if error.actor_init_failed:
                reason = f"a machine of the Ray cluster cannot run hwnas: {_cause(error)}"
                self._channel.send({"type": "broken", "reason": reason})
            elif self._is_alive(place.node):
                # Who had not begun has not failed either.
                kind = "killed" if place.began else "stale"
                self._bury(place, kind, "its Ray process was killed")
            else:
                self._bury(place, "stale", "the machine was lost")
        except RayError as error:
            self._bury(place, "stale", describe(error))

    def _settle(self, place: _Place) -> None:
        """Wait until Ray has found a place for an actor, as long as there can be one."""
        asked = place.actor.about.remote()
        too_small_since = None
        while not ray.wait([asked], timeout=1.0)[0]:
            if self._fits():
                too_small_since = None
            elif too_small_since is None:
                too_small_since = time.monotonic()
            elif time.monotonic() - too_small_since >= self._patience:
                raise JobError(self._too_small())
        try:
            about = ray.get(asked)
        except RayTaskError as error:
            reason = f"a machine of the Ray cluster cannot run hwnas: {_cause(error)}"
            raise JobError(reason) from error
        place.host, place.node = about["host"], about["node"]
        if about["hwnas"] != __version__:
            raise JobError(
                f"{place.host}, a machine of the Ray cluster, has hwnas {about['hwnas']}, "
                f"this one has {__version__}"
            )
        if not about["shared"] and "://" not in self._setup["node"]["job"]:
            raise JobError(
                f"{place.host}, a machine of the Ray cluster, does not see the job's folder "
                f"{self._setup['node']['folder']}"
            )

    @property
    def _wanted(self) -> dict[str, float]:
        wanted = {"CPU": self._setup["cpus"], "GPU": self._setup["gpus"]}
        return {name: n for name, n in {**wanted, **self._setup["resources"]}.items() if n > 0}

    @property
    def _patience(self) -> float:
        return 0.0 if self._setup["address"] is None else float(self._setup["wait"])

    def _fits(self) -> bool:
        """Whether there is a machine large enough, be it busy or not."""
        return any(
            all(node["Resources"].get(name, 0) >= amount for name, amount in self._wanted.items())
            for node in ray.nodes()
            if node["Alive"]
        )

    def _too_small(self) -> str:
        wanted = [f"{name} {amount:g}" for name, amount in self._wanted.items()]
        has = [
            ", ".join(f"{name} {node['Resources'].get(name, 0):g}" for name in self._wanted)
            for node in ray.nodes()
            if node["Alive"]
        ]
        return (
            f"no machine of the Ray cluster has {', '.join(wanted)} for a trial; "
            f"there are: {'; '.join(has) or 'none'}"
        )

    def _is_alive(self, node: str) -> bool:
        return any(one["Alive"] and one["NodeID"] == node for one in ray.nodes())

    def _pass_on(self, place: _Place, message: Message) -> None:
        if message["type"] == "broken":
            raise JobError(f"{place.host}: {message['reason']}")
        if message["type"] == "began":
            place.began = True
        elif message["type"] in ("done", "failed"):
            with self._lock:
                place.trial = None
        self._channel.send(message)

    def _bury(self, place: _Place, kind: str, reason: str) -> None:
        """Forget an actor; the trial that it had has failed."""
        with self._lock:
            if place not in self._places:
                return
            self._places.remove(place)
            trial = place.trial
        if trial is not None:
            where = f" ({place.host})" if place.host else ""
            told = {"type": "failed", "trial": trial, "kind": kind, "reason": f"{reason}{where}"}
            self._channel.send(told)


def _cause(error: BaseException) -> str:
    """What went wrong first: Ray chains errors, and puts tracebacks into messages."""
    if error.__cause__ is not None:
        return _cause(error.__cause__)
    lines = re.findall(r"^[\w. ]*?(\w*(?:Error|Exception): .+)$", str(error), re.MULTILINE)
    return str(lines[-1]) if lines else describe(error)


if __name__ == "__main__":
    main()
