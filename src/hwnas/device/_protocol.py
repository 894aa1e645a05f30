"""Messages between a device and its worker: a JSON header and binary parts, length-prefixed."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import IO, Any

_SIZE = struct.Struct(">Q")


def send(stream: IO[bytes], header: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Write one message; BrokenPipeError if nobody reads any more."""
    text = json.dumps({**header, "parts": [len(part) for part in parts]}).encode()
    stream.write(_SIZE.pack(len(text)) + text)
    for part in parts:
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Read one message; EOFError if the other side is gone."""
    (size,) = _SIZE.unpack(_exactly(stream, _SIZE.size))
    header = json.loads(_exactly(stream, size))
    return header, [_exactly(stream, length) for length in header.pop("parts")]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
