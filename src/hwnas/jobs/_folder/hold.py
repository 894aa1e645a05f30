"""Who runs a job: one coordinator, since two would train everything twice."""

from __future__ import annotations

import fcntl
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hwnas.errors import JobError, StoreError
from hwnas.jobs._store.lease import Claims
from hwnas.jobs._store.store import Store

LEASE = 15.0
"""Seconds without a sign of life after which another process may go on with a job in a store."""

_GLANCE = 0.2  # seconds; whoever looks whether a job runs holds its lock for a moment
_WORK = "job"

Check = Callable[[], None]
"""Raises `JobLost` once another process has taken over."""


class JobBusy(JobError):
    """Another process runs the job."""


class JobLost(JobError):
    """This process ran the job, and does not any more: it must write nothing."""


@contextmanager
def locked(folder: Path) -> Iterator[Check]:
    """Hold the job in a folder. The kernel drops the lock with its holder, so it is never lost.

    Raises:
        JobBusy: another process holds it.
    """
    handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        end = time.monotonic() + _GLANCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= end:
                    pid = os.read(handle, 20).decode() or "unknown"
                    raise JobBusy(f"{folder} is being run by process {pid}") from error
            time.sleep(_GLANCE / 10)
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield lambda: None
    finally:
        os.close(handle)


@contextmanager
def leased(store: Store) -> Iterator[Check]:
    """Hold the job in a store, by a lease that is kept alive, and taken over if it is not.

    Raises:
        JobBusy: another process holds it, and shows life.
    """
    claims = _claims(store)
    seen = claims.beat(_WORK)
    while (lease := claims.take(_WORK)) is None:
        time.sleep(LEASE / 30)
        if claims.beat(_WORK) != seen:
            raise JobBusy(f"{store.url} is being run by {claims.holder(_WORK)}")

    def check() -> None:
        if not lease.held():
            raise JobLost(
                f"{claims.holder(_WORK)} goes on with {store.url}, since this process gave no sign "
                f"of life for {LEASE:g} s; nothing more was written"
            )

    try:
        yield check
    finally:
        with suppress(StoreError):  # the lease ends by itself
            lease.release()


def shows_life(store: Store) -> bool:
    """Whether somebody holds the job in a store; watches for as long as two signs may be apart."""
    claims = _claims(store)
    seen, end = claims.beat(_WORK), time.monotonic() + 1.2 * LEASE / 3
    while seen is not None and time.monotonic() < end:
        time.sleep(LEASE / 60)
        if claims.beat(_WORK) != seen:
            return True
    return False


def _claims(store: Store) -> Claims:
    name = f"process {os.getpid()} of {socket.gethostname()} ({uuid.uuid4().hex[:8]})"
    return Claims(store.within("lock"), name, seconds=LEASE)
