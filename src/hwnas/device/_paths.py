"""Where hwnas keeps what belongs to this user on this host."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hwnas.errors import DeviceError


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/hwnas` or `~/.cache/hwnas`; without a writable home, one in the temp folder.

    Raises:
        DeviceError: the folder in the shared temp folder belongs to somebody else.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hwnas"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(home, os.W_OK):
            return home
    except OSError:
        pass  # a read-only or missing home, as in many containers
    shared = Path(tempfile.gettempdir()) / f"hwnas-{os.getuid()}"
    shared.mkdir(mode=0o700, exist_ok=True)
    status = os.lstat(shared)
    if status.st_uid != os.getuid() or status.st_mode & 0o022 or not shared.is_dir():
        raise DeviceError(f"{shared} is not a private folder of this user; remove it")
    return shared
