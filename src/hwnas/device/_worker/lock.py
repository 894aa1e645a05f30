"""One measurement at a time on a host."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

from hwnas.device._paths import cache_folder


@contextmanager
def host_lock() -> Iterator[None]:
    """Wait for, then hold, the measuring lock of this user on this host.

    The kernel drops the lock when its holder dies. The host's name is in the file's name because
    a home folder may be shared between hosts, and a lock on it would then be, too.
    """
    path = cache_folder() / f"measure-{platform.node() or 'host'}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        # Explicit, since a process forked in the meantime would keep the lock of a closed file.
        fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)
