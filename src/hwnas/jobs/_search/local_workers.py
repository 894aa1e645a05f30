"""Workers that a search starts on its own machine: `hwnas search --with-workers`."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.errors import UsageError
from hwnas.jobs._folder.spec import QUEUE
from hwnas.jobs._measuring.registry import find_device
from hwnas.jobs._queue.companions import Companion, Companions
from hwnas.jobs._queue.queue import MeasurementQueue
from hwnas.jobs._store.store import Store

if TYPE_CHECKING:
    from hwnas.jobs._folder.job import Job
    from hwnas.jobs._folder.spec import DeviceSpec, JobSpec


@dataclass(frozen=True)
class WithWorkers:
    """How many workers a search starts for each of its devices of the runtime `queue`, and which.

    Attributes:
        count: for each of these devices.
        devices: how models run on them, as in `hwnas worker --device`: `NAME=RUNTIME?threads=2`. A
            device that is not among them is found by its name, as there.
        evaluator: `module:class` of an `Evaluator`, for hardware of your own.
    """

    count: int
    devices: tuple[str, ...] = ()
    evaluator: str | None = None

    def check(self, spec: JobSpec) -> None:
        """Refuse what makes no sense for a job.

        Raises:
            UsageError: the message says what.
        """
        served = {one.name for one in spec.devices if one.runtime == QUEUE}
        if self.count < 1:
            raise UsageError(f"workers are at least 1, not {self.count}")
        if not served:
            raise UsageError(
                "workers serve devices of the runtime 'queue', and the search has none; give one "
                "as --device NAME=queue"
            )
        for name in self._ways():
            if name not in served:
                raise UsageError(
                    f"a worker cannot serve '{name}': the search's devices for workers are "
                    f"{', '.join(sorted(served))}"
                )

    def started(self, job: Job) -> Companions:
        """The workers of a job, to be used in a `with` statement."""
        ways, programs = self._ways(), []
        for spec in job.spec.devices:
            if spec.runtime != QUEUE:
                continue
            url = spec.store or job.store.url
            for number in range(self.count):
                how = ways.get(spec.name, spec.name)
                programs.append(self._worker(job, spec, how, url, number))
        return Companions(programs)

    def _worker(self, job: Job, spec: DeviceSpec, how: str, url: str, number: int) -> Companion:
        name = f"{spec.name}-{number}-{uuid.uuid4().hex[:6]}"
        words = [sys.executable, "-m", "hwnas", "worker", "--job", url, "--device", how]
        words += ["--name", name]
        if self.evaluator is not None:
            words += ["--evaluator", self.evaluator]
        queue = MeasurementQueue(Store(url), spec.name)
        return Companion(
            name=f"worker {number} of device '{spec.name}'",
            argv=words,
            log=job.folder / "workers" / f"{spec.name}-{number}.log",
            ready=lambda: queue.store.get(f"workers/{name}") is not None,
        )

    def _ways(self) -> Mapping[str, str]:
        return {find_device(text).name: text for text in self.devices}
