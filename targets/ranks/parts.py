"""A weight that several ranks store in parts, put together from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convert.errors import TensorMismatchError
from targets.ranks.description import Cut

Array = NDArray[np.float32]


def put_together(name: str, parts: Sequence[Array], cut: Cut | None) -> Array:
    """Every rank's part at its place.

    Args:
        name: Of the weight.
        parts: What each rank stores.
        cut: How it is cut; None if it is whole on every rank.

    Raises:
        TensorMismatchError: Ranks that store the same do not store it alike, or no rank stores
            some of it.
    """
    cut = cut or Cut(0, (((0, len(parts[0])),),) * len(parts))
    length = max(last for own in cut.ranges for _, last in own)
    shape = list(parts[0].shape)
    shape[cut.axis] = length
    whole = np.moveaxis(np.empty(shape, np.float32), cut.axis, 0)
    known = np.zeros(length, bool)
    for part, own in zip(parts, cut.ranges, strict=True):
        rows, begin = np.moveaxis(part, cut.axis, 0), 0
        for first, last in own:
            piece, begin = rows[begin : begin + last - first], begin + last - first
            there = known[first:last]
            if not np.array_equal(whole[first:last][there], piece[there]):
                raise TensorMismatchError(f"the ranks store different values of {name}")
            whole[first:last] = piece
            known[first:last] = True
    if not known.all():
        raise TensorMismatchError(f"no rank stores some of {name}")
    return np.moveaxis(whole, 0, cut.axis)
