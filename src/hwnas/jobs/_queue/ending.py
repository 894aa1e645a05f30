"""How workers learn that a job wants nothing any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hwnas.errors import HwnasError
from hwnas.jobs._spec import QUEUE
from hwnas.jobs._store.store import Store

if TYPE_CHECKING:
    from hwnas.jobs._job import Job
    from hwnas.jobs._spec import DeviceSpec

ENDED = "state/ended"
"""The object that says that a job wants nothing measured any more."""


@contextmanager
def asking_workers(job: Job, devices: Iterable[DeviceSpec]) -> Iterator[None]:
    """While the job runs its workers wait for requests; when it has ended or failed they end.

    One that is interrupted or killed leaves them waiting: it is going to be resumed.
    """
    urls = {one.store or str(job.folder) for one in devices if one.runtime == QUEUE}
    stores = [Store(url) for url in sorted(urls)]
    for store in stores:
        store.delete(ENDED)
    try:
        yield
    except HwnasError:
        for store in stores:
            store.put(ENDED, b"failed")
        raise
    for store in stores:
        store.put(ENDED, b"done")
