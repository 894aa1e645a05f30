"""One job under fire: its processes, who is killed when, and what came out."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hwnas.jobs import Job, Store
from hwnas.strategy import StudyStore
from servers import PostgreSQL, SeaweedFS
from support import HWNAS

TRIALS, WORKERS, KILLS = 20, 3, 3
VICTIMS = ("coordinator", "trial", "worker", "store", "database")
_LIMIT = 240.0  # seconds for a job that takes about ten without kills


@dataclass
class Outcome:
    """What a run is judged by.

    `lost` trials are not complete, or have a latency that nobody measured for them; `duplicated`
    ones are counted twice, or use a measurement that another uses, too.
    """

    number: int
    kills: Counter[str] = field(default_factory=Counter)
    resumes: int = 0
    completed: bool = False
    lost: int = 0
    duplicated: int = 0
    orphans: int = 0
    seconds: float = 0.0
    told: str = ""

    @property
    def good(self) -> bool:
        return self.completed and not (self.lost or self.duplicated or self.orphans)


class Run:
    """A job of 20 trials, two at a time, measured by three workers; three kills.

    Everything is decided by the number of the run: where the job, its queue and its study lie, who
    is killed, and when, which is told by how many trials are trained and a part of a second. Of a
    job that lies in a store the coordinator that comes after a killed one has no files.
    """

    def __init__(
        self, number: int, folder: Path, seaweedfs: SeaweedFS, postgresql: PostgreSQL
    ) -> None:
        self._chance = random.Random(number)
        first = VICTIMS[number % len(VICTIMS)]
        self._stored = first == "store" or self._chance.random() < 0.4
        self._database = first == "database" or self._chance.random() < 0.4
        whole = self._stored and number % 2 == 0
        able = [v for v in VICTIMS if self._able(v)]
        victims = [first, first, *self._chance.choices(able, k=KILLS - 2)]
        moments = sorted(self._chance.uniform(0, TRIALS - 1) for _ in victims)
        self._plan = list(zip(moments, self._chance.sample(victims, KILLS), strict=True))
        self._folder, self._servers = folder, {"store": seaweedfs, "database": postgresql}
        self._queue = f"{seaweedfs.bucket()}/job" if self._stored else "job"
        self._job = self._queue if whole else "job"
        self._environment: Mapping[str, str] = {
            **os.environ,
            **seaweedfs.environment,
            "CHAOS": str(folder),
            "STUDY": postgresql.database() if self._database else "",
            "HWNAS_PATIENCE": "60",
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
        }
        self._coordinator: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._due: list[tuple[float, str]] = []
        self._killed = False
        self.outcome = Outcome(number)
        shutil.copy(Path(__file__).with_name("board.py"), folder)

    def _able(self, victim: str) -> bool:
        return {"store": self._stored, "database": self._database}.get(victim, True)

    def go(self) -> Outcome:
        """Run the job to its end, whatever happens to it."""
        began = time.monotonic()
        # Without a worker a trial fails at once, so they come first.
        self._workers += [self._worker() for _ in range(WORKERS)]
        try:
            store = Store(self._queue if self._stored else self._folder / "job")
            while time.monotonic() - began < _LIMIT:
                if len(store.names("queue/board/workers")) == WORKERS:
                    break
                time.sleep(0.1)
            self._coordinator = self._search()
            while not self._ended():
                if time.monotonic() - began > _LIMIT:
                    self.outcome.told = f"not done after {_LIMIT:g} s"
                    break
                self._kill_whom_it_concerns()
                self._start_again()
                time.sleep(0.02)
            if self.outcome.completed:
                self._wait_for_workers()
                self._judge()
        finally:
            for _, victim in self._due:
                if victim in self._servers:
                    self._servers[victim].start()
            self.outcome.orphans = self._end_all()
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    def _search(self) -> subprocess.Popen[bytes]:
        if self._coordinator is not None:
            self.outcome.resumes += 1
            return self._start("search", "--resume", "--job", self._job)
        shared = self._queue != self._job
        return self._start(
            "search", "board:space", "--train", "board:train", "--input-shape", "1,8,8",
            "--trials", str(TRIALS), "--parallel", "2", "--strategy", "random",
            "--budget", "latency@board <= 1 s",
            "--device", f"board=queue?store={self._queue}" if shared else "board=queue",
            "--retries", str(KILLS), "--max-failed", "0", "--job", self._job,
            *(("--storage", "env:STUDY") if self._database else ()),
        )  # fmt: skip

    def _worker(self) -> subprocess.Popen[bytes]:
        return self._start(
            "worker", "--job", self._queue, "--device", "board", "--lease", "2",
            "--evaluator", "board:Board",
        )  # fmt: skip

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self._folder / f"{arguments[0]}.log", "ab") as log:
            return subprocess.Popen(
                [HWNAS, *arguments],
                cwd=self._folder,
                env={
                    **self._environment,
                    "XDG_CACHE_HOME": f"{self._folder}/cache/{self.outcome.resumes}",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _ended(self) -> bool:
        code = self._coordinator.poll()
        if code is None or self._killed:
            return False
        self.outcome.completed = code == 0
        if code != 0:
            log = (self._folder / "search.log").read_text(errors="replace")
            self.outcome.told = f"exit code {code}: {log[-300:]}"
        return True

    def _kill_whom_it_concerns(self) -> None:
        if not self._plan or self._trained() < self._plan[0][0]:
            return
        victim = self._plan[0][1]
        if any(other == victim for _, other in self._due):
            return  # it is dead; its turn comes
        if victim == "coordinator":
            if self._killed:
                return
            self._coordinator.kill()
            self._coordinator.wait()
            self._killed = True
        elif victim == "trial":
            training = self._training()
            if not training:
                return
            os.kill(self._chance.choice(training), signal.SIGKILL)
        elif victim == "worker":
            dying = self._chance.choice(self._workers)
            dying.kill()
            dying.wait()
            self._workers.remove(dying)
        else:
            self._servers[victim].kill()
        self._plan.pop(0)
        self.outcome.kills[victim] += 1
        if victim != "trial":
            self._due.append((time.monotonic() + self._chance.uniform(0, 2), victim))

    def _start_again(self) -> None:
        for entry in [one for one in self._due if one[0] <= time.monotonic()]:
            self._due.remove(entry)
            if entry[1] == "coordinator":
                self._coordinator, self._killed = self._search(), False
            elif entry[1] == "worker":
                self._workers.append(self._worker())
            else:
                self._servers[entry[1]].start()

    def _trained(self) -> float:
        file = self._folder / "trained"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def _training(self) -> list[int]:
        found = []
        for pid, command in _processes(self._marker):
            if b"hwnas.jobs._executors.process" in command:
                found.append(pid)
        return sorted(found)

    @property
    def _marker(self) -> bytes:
        return f"CHAOS={self._folder}\0".encode()

    def _wait_for_workers(self) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end and any(one.poll() is None for one in self._workers):
            time.sleep(0.05)
        codes = [one.poll() for one in self._workers]
        if any(codes):
            log = (self._folder / "worker.log").read_text(errors="replace")
            self.outcome.told = f"workers ended with {codes}: {log[-300:]}"

    def _judge(self) -> None:
        if self._database:
            study = StudyStore(self._environment["STUDY"], "job").load()
        else:
            where = self._folder / "job" if self._job == "job" else self._job
            study = Job.open(where).study_store().load()
        trials = [t for t in study.trials if "void" not in t.user_attrs]
        complete = [t for t in trials if t.state.name == "COMPLETE"]
        evaluated = Counter(
            (int(trial), float(value))
            for trial, value in map(
                str.split, (self._folder / "evaluated").read_text().splitlines()
            )
        )
        used = [(t.number, t.user_attrs["costs"]["latency@board"][0]) for t in complete]
        strange = [one for one in used if one not in evaluated]
        self.outcome.lost = max(0, TRIALS - len(complete)) + len(strange)
        twice = len(used) - len({value for _, value in used})
        self.outcome.duplicated = len(trials) - TRIALS + twice if len(trials) > TRIALS else twice

    def _end_all(self) -> int:
        """End what still runs; how many processes nobody would have ended."""
        orphans = 0
        if self.outcome.completed:
            end = time.monotonic() + 5
            while time.monotonic() < end and _processes(self._marker):
                time.sleep(0.05)
            orphans = len(_processes(self._marker))
        for pid, _ in _processes(self._marker):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for process in (self._coordinator, *self._workers):
            if process is not None:
                process.wait()
        return orphans


def _processes(marker: bytes) -> list[tuple[int, bytes]]:
    """The processes that live and have the marker in their environment, with their commands."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if marker not in (folder / "environ").read_bytes():
                continue
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if command:  # one that has ended, and that its parent has not asked about, has none
            found.append((int(folder.name), command))
    return found
