"""How a process speaks to the child that it started: messages over pipes, and dying together.

A message is a JSON header and binary parts, each with its length before it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any, BinaryIO

_SIZE = struct.Struct(">Q")
_PR_SET_PDEATHSIG = 1


def send(stream: IO[bytes], header: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Write one message; strict JSON. BrokenPipeError if nobody reads any more."""
    sizes = [len(part) for part in parts]
    text = json.dumps({**header, "parts": sizes}, allow_nan=False).encode()
    stream.write(_SIZE.pack(len(text)) + text)
    for part in parts:
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Read one message; EOFError if the other side is gone."""
    (size,) = _SIZE.unpack(_exactly(stream, _SIZE.size))
    header = json.loads(_exactly(stream, size))
    return header, [_exactly(stream, length) for length in header.pop("parts")]


def private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """In a child: its standard input and output for messages; what it prints goes to stderr."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return incoming, outgoing


def die_with_parent(parent: int, by: int = signal.SIGKILL) -> None:
    """In a child: ask Linux to end it when the thread that started it ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:
        os._exit(1)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
