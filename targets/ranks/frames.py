"""Messages between the ranks' processes and their parent: a line of JSON, then raw bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

Header = dict[str, Any]


def send(descriptor: int, header: Mapping[str, Any], payload: bytes | memoryview = b"") -> None:
    """Write one message.

    Raises:
        BrokenPipeError: Nobody reads any more.
    """
    line = json.dumps({**header, "bytes": len(payload)}).encode() + b"\n"
    for part in (memoryview(line), memoryview(payload)):
        rest = part
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def receive(descriptor: int) -> tuple[Header, bytes] | None:
    """Read one message; None if the other end closed before or within it."""
    line = b""
    while not line.endswith(b"\n"):
        # One byte at a time: what follows belongs to the payload.
        byte = os.read(descriptor, 1)
        if not byte:
            return None
        line += byte
    header: Header = json.loads(line)
    payload = bytearray()
    while len(payload) < header["bytes"]:
        part = os.read(descriptor, min(header["bytes"] - len(payload), 1 << 20))
        if not part:
            return None
        payload += part
    return header, bytes(payload)
