"""How much memory a run may use for weights in flight, and the size of chunks that follows."""

from __future__ import annotations

import re

from convert.errors import UsageError
from convert.stream import CHUNK_BYTES
from golden.memory import available_memory

SMALLEST_CHUNK = 64 << 10
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_COPIES = 2
"""A chunk is held as it was read, and once more if its rows are put in another order."""
_LARGEST_GROWTH = 2
"""The encoding that grows most, bf16 to f32, doubles a chunk."""


def parse_size(text: str) -> int:
    """Bytes of a size such as ``512MB``, ``2GB`` or ``1.5GiB``.

    Raises:
        UsageError: Not a size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmg]i?)?b?", text.strip().lower())
    if match is None:
        raise UsageError(
            f"cannot read the size {text!r}", expected="a number of bytes, such as 512MB or 2GB"
        )
    return int(float(match[1]) * _UNITS[match[2] or ""])


def default_budget() -> int:
    """A quarter of the memory that is free."""
    return available_memory() // 4


def chunk_bytes(budget: int, *, threads: int, artifacts: int) -> int:
    """Bytes of source in a chunk, such that a chunk a thread and its encoded forms fit.

    A power of two, so that chunks start at the same rows while the memory that is free varies a
    little: a run goes on only with chunks that are cut as they were.

    Args:
        budget: Bytes in flight.
        threads: Chunks in work at once.
        artifacts: Forms that each chunk is encoded into.

    Raises:
        UsageError: Not even the smallest chunks fit.
    """
    held = threads * (_COPIES + _LARGEST_GROWTH * artifacts)
    if budget < held * SMALLEST_CHUNK:
        raise UsageError(
            f"{budget:,} bytes of memory are too few",
            expected=f"at least {held * SMALLEST_CHUNK:,} with {threads} threads "
            f"and {artifacts} artifacts",
            remedy="allow more with --memory, or use fewer --threads",
        )
    return min(CHUNK_BYTES, 1 << ((budget // held).bit_length() - 1))
