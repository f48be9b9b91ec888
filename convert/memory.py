"""How much memory a run may use for weights in flight, and the size of chunks that follows."""

from __future__ import annotations

from convert.errors import UsageError
from convert.stream import CHUNK_BYTES
from golden.memory import available_memory

SMALLEST_CHUNK = 64 << 10
_COPIES = 2
"""A chunk is held as it was read, and once more if its rows are put in another order."""
_LARGEST_GROWTH = 2
"""The encoding that grows most, bf16 to f32, doubles a chunk."""


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
