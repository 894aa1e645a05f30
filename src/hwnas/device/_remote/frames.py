"""Messages as lines of text, for streams that others write to as well.

A shell may greet, a terminal may echo, and a banner may end without a newline. So a message is one
line of base64 with a key, its length and a checksum before it, and all else is passed over.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwnas._pipes import receive, send

if TYPE_CHECKING:
    from hwnas.device._worker.process import Reply


def encode(key: str, header: Mapping[str, Any], parts: Sequence[bytes] = ()) -> bytes:
    """A message as a line; `key` tells it from other output."""
    buffer = io.BytesIO()
    send(buffer, header, parts)
    text = base64.b64encode(buffer.getvalue())
    return _mark(key) + b"%d %08x " % (len(text), zlib.crc32(text)) + text + b"\n"


def decode(key: str, line: bytes) -> Reply | None:
    """The message in a line of the stream; None if there is none, ValueError if it is damaged."""
    _, mark, rest = line.partition(_mark(key))
    if not mark:
        return None
    fields = rest.split()
    if len(fields) != 3 or fields[:2] != [
        b"%d" % len(fields[2]),
        b"%08x" % zlib.crc32(fields[2]),
    ]:
        raise ValueError("a damaged message")
    return receive(io.BytesIO(base64.b64decode(fields[2])))


def _mark(key: str) -> bytes:
    return b"#hwnas-%s-message " % key.encode()
