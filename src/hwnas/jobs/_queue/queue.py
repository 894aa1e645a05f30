"""The queue of one device name, in a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from hwnas.errors import StoreError
from hwnas.jobs._queue.envelopes import Answer, FileRef, Request, checked_name
from hwnas.jobs._store.lease import last_generation
from hwnas.jobs._store.manifest import digest
from hwnas.jobs._store.store import Store

_FEW = 4


class MeasurementQueue:
    """Requests for a device, and what workers answered.

    Under `queue/<device>/`: `requests/<id>` a model to measure; `claims/<id>/<n>` and
    `beats/<id>/<n>` who measures it; `results/<id>/<n>` the answer of generation n;
    `files/<sha256>` models and inputs; `workers/<worker>` a worker that lives and `parts/<i>` the
    part of the trials that it serves; `calibrations/<worker>` what it tells of a fixed network;
    `reference` the host speed that all latencies of the device refer to.

    Each of them is created once, except beats, workers, parts and calibrations: an answer cannot be
    overwritten, and one of an older generation than the last claim does not count.
    """

    def __init__(self, store: Store, device: str) -> None:
        self.device = checked_name("device", device)
        self.store = store.within(f"queue/{device}")

    def post(self, request: Request) -> None:
        """Ask for a measurement. Asked for again, a request is left as it is."""
        self.store.create(f"requests/{request.id}", request.model_dump_json().encode())

    def keep(self, file: Path) -> FileRef:
        """Store a file's content, once."""
        found = FileRef(size=file.stat().st_size, sha256=digest(file))
        if found.object not in self.store.names("files"):
            self.store.put(found.object, file)
        return found

    def fetch(self, ref: FileRef, file: Path) -> None:
        """A stored file.

        Raises:
            StoreError: it is not there, or holds something else than was stored.
        """
        self.store.download(ref.object, file)
        if file.stat().st_size != ref.size or digest(file) != ref.sha256:
            raise StoreError(f"{self.store.url}/{ref.object} is damaged: its SHA-256 is another")

    def requests(self) -> list[str]:
        """All requests, in the order of their names."""
        return [name.split("/")[1] for name in self.store.names("requests")]

    def claimed(self) -> dict[str, int]:
        """The last generation of the claims on each request that was ever claimed."""
        last: dict[str, int] = {}
        for name in self.store.names("claims"):
            _, work, generation = name.split("/")
            last[work] = max(last.get(work, 0), int(generation))
        return last

    def open_requests(self) -> list[str]:
        """The requests to whose last claim there is no answer, in the order of their names."""
        last, answered = self.claimed(), set(self.store.names("results"))
        return [
            one for one in self.requests() if f"results/{one}/{last.get(one, 0)}" not in answered
        ]

    def answered(self, work: str, generation: int) -> bool:
        """Whether this generation has given an answer."""
        return f"results/{work}/{generation}" in self.store.names(f"results/{work}")

    def request(self, work: str) -> Request:
        """A request.

        Raises:
            StoreError: it is damaged, or gone.
        """
        found = self.store.read(f"requests/{work}", Request)
        if found is None:
            raise StoreError(f"{self.store.url}/requests/{work} is gone")
        return found

    def answer(self, answer: Answer) -> bool:
        """Give an answer; False if this generation has given one."""
        name = f"results/{answer.id}/{answer.generation}"
        return self.store.create(name, answer.model_dump_json().encode())

    def counting_answers(self, works: Iterable[str]) -> Iterator[tuple[str, int, Answer | None]]:
        """For each request the last generation that claimed it (0: none), and what that answered.

        A few are looked up one by one, many by listing the whole queue.
        """
        listed = list(works)
        if len(listed) > _FEW:
            claimed, answered = self.claimed(), set(self.store.names("results"))
        for work in listed:
            if len(listed) <= _FEW:
                last = last_generation(self.store, work)
                there = last > 0
            else:
                last = claimed.get(work, 0)
                there = f"results/{work}/{last}" in answered
            answer = self.store.read(f"results/{work}/{last}", Answer) if there else None
            yield work, last, answer

    def answer_to(self, work: str) -> Answer | None:
        """The answer that counts: that of the last claim; None as long as there is none."""
        ((_, _, found),) = self.counting_answers([work])
        return found
