"""Kernel that adds a product of two thin matrices to rows of a wide one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from passes.encodings.kernels.compiling import compiled

Floats = NDArray[np.float32]


@compiled
def add_low_rank(rows: Floats, left: Floats, right: Floats, scale: Any) -> int:
    """``rows += scale * (left @ right)`` in float32.

    Sums are taken in the order of the rank, so that a row comes out the same to the last bit
    whichever rows it is computed with; a library's matrix product does not promise that.

    Args:
        rows: [n, columns], changed in place.
        left: [n, rank].
        right: [rank, columns].
        scale: float32.
    """
    total = np.empty(rows.shape[1], np.float32)
    for n in range(rows.shape[0]):
        total[:] = 0
        for k in range(right.shape[0]):
            factor = left[n, k]
            for i in range(total.size):
                total[i] += factor * right[k, i]
        for i in range(total.size):
            rows[n, i] += scale * total[i]
    return 0
