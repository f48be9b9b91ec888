"""Rows encoded on several threads at once."""

from __future__ import annotations

import math
from concurrent.futures import Executor

from convert.weights import Rows
from passes.encodings.base import ROW_ALIGNMENT, Bytes, Encoding


def encode_in_parallel(
    chosen: Encoding, rows: Rows, pool: Executor, workers: int
) -> tuple[Bytes, ...]:
    """What ``chosen.encode(rows)`` gives, computed by ``workers`` threads of ``pool``.

    Each thread writes its own rows of the same planes. Must not be called from a thread of
    ``pool``.

    Raises:
        NonFiniteWeightError: A weight is NaN or infinite.
        UnsupportedEncodingError: A weight, or a scale, is too large for its storage type.
    """
    count, columns = rows.shape
    planes, kinds = chosen.empty_planes(count, columns), chosen.planes(columns)
    share = ROW_ALIGNMENT * math.ceil(count / (ROW_ALIGNMENT * workers))
    done = []
    for start in range(0, count, share):
        stop = min(start + share, count)
        part = tuple(
            plane[kind.nbytes(start) : kind.nbytes(stop)]
            for plane, kind in zip(planes, kinds, strict=True)
        )
        done.append(pool.submit(chosen.encode_into, rows[start:stop], part))
    for future in done:
        future.result()
    return planes
