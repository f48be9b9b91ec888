"""Memory that a task of Ray asks for."""

from __future__ import annotations

from convert.chunks import Chunk

WORKER_BYTES = 384 << 20
"""Of a worker that does nothing yet: Python, numpy, numba and the kernels."""

_COPIES = 3
"""A chunk is held as it was read, perhaps in another order, and as a window of its object."""

_LARGEST_GROWTH = 4
"""The encoding that grows most, bf16 to f32, doubles a chunk; and it is sent."""


def task_bytes(*chunks: Chunk) -> int:
    """Bytes that a thread of a worker needs at most for chunks one after the other, all of them
    sent back.
    """
    read = max(chunk.nbytes for chunk in chunks) * _COPIES
    made = sum(chunk.nbytes * len(chunk.jobs) for chunk in chunks) * _LARGEST_GROWTH
    return read + made
