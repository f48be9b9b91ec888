"""Sizes as people write them: 512MB, 2G, 1.5GiB."""

from __future__ import annotations

import re
from decimal import Decimal

from convert.errors import UsageError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


def parse_size(text: str) -> int:
    """Bytes of a size such as ``512MB``, ``2G`` or ``1.5GiB``.

    K, M and G are powers of 1000, as in llama.cpp; Ki, Mi and Gi are powers of 1024. Part of a
    byte is left out.

    Raises:
        UsageError: Not a size.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([kmg]i?)?b?", text.strip().lower())
    if match is None:
        raise UsageError(
            f"cannot read the size {text!r}", expected="a number of bytes, such as 512MB or 2GB"
        )
    return int(Decimal(match[1]) * _UNITS[match[2] or ""])
