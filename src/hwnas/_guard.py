"""Runs a program that ends with whoever started it: `python -I -S _guard.py WORD...`.

Who started this holds the other end of its standard input. When that closes, the whole process
group gets SIGTERM, and SIGKILL after some seconds. How the program ends is how this ends. Nothing
but the standard library is imported, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

_GRACE = 5.0  # seconds


def main() -> None:
    """Start the program, and wait for it or for the end of standard input."""
    for one in (signal.SIGTERM, signal.SIGINT):  # sent to the group, they are for the program
        signal.signal(one, signal.SIG_IGN)
    try:
        process = subprocess.Popen(
            sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=_default_signals
        )
    except OSError as error:
        print(f"cannot start {sys.argv[1]}: {error.strerror}", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)
    alone = threading.Event()
    threading.Thread(target=_end_with_parent, args=[alone], daemon=True).start()
    code = process.wait()
    if alone.is_set():
        _end_group()
    if code < 0:
        with contextlib.suppress(OSError, ValueError):  # SIGKILL cannot be set, and need not be
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _default_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end_with_parent(alone: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    alone.set()
    os.killpg(os.getpgrp(), signal.SIGTERM)
    time.sleep(_GRACE)
    _end_group()


def _end_group() -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
