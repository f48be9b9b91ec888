"""The codebook of IQ4_NL and IQ4_XS: ``kvalues_iq4nl`` in ggml-common.h."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.compiling import compiled
from passes.encodings.kernels.vectors import Vector, spread, where_above

VALUES = tuple(
    np.float32(value)
    for value in (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
)

MIDPOINTS = tuple(
    np.float32(bound)
    for bound in (
        *(-115.5, -93.5, -74.0, -57.0, -42.0, -28.5, -16.0, -4.5),
        *(7.0, 19.0, 31.5, 45.5, 61.0, 79.0, 101.0),
    )
)
"""Halfway between neighbouring values."""

CODES = tuple(np.float32(code) for code in range(16))


@compiled
def nearest_values(x: Vector) -> Vector:
    """The values nearest to numbers; of two equally near the lower."""
    found = spread(VALUES[0])
    found = where_above(x, spread(MIDPOINTS[0]), spread(VALUES[1]), found)
    found = where_above(x, spread(MIDPOINTS[1]), spread(VALUES[2]), found)
    found = where_above(x, spread(MIDPOINTS[2]), spread(VALUES[3]), found)
    found = where_above(x, spread(MIDPOINTS[3]), spread(VALUES[4]), found)
    found = where_above(x, spread(MIDPOINTS[4]), spread(VALUES[5]), found)
    found = where_above(x, spread(MIDPOINTS[5]), spread(VALUES[6]), found)
    found = where_above(x, spread(MIDPOINTS[6]), spread(VALUES[7]), found)
    found = where_above(x, spread(MIDPOINTS[7]), spread(VALUES[8]), found)
    found = where_above(x, spread(MIDPOINTS[8]), spread(VALUES[9]), found)
    found = where_above(x, spread(MIDPOINTS[9]), spread(VALUES[10]), found)
    found = where_above(x, spread(MIDPOINTS[10]), spread(VALUES[11]), found)
    found = where_above(x, spread(MIDPOINTS[11]), spread(VALUES[12]), found)
    found = where_above(x, spread(MIDPOINTS[12]), spread(VALUES[13]), found)
    found = where_above(x, spread(MIDPOINTS[13]), spread(VALUES[14]), found)
    return where_above(x, spread(MIDPOINTS[14]), spread(VALUES[15]), found)


@compiled
def nearest_codes(x: Vector) -> Vector:
    """The places of `nearest_values` in the codebook."""
    found = spread(CODES[0])
    found = where_above(x, spread(MIDPOINTS[0]), spread(CODES[1]), found)
    found = where_above(x, spread(MIDPOINTS[1]), spread(CODES[2]), found)
    found = where_above(x, spread(MIDPOINTS[2]), spread(CODES[3]), found)
    found = where_above(x, spread(MIDPOINTS[3]), spread(CODES[4]), found)
    found = where_above(x, spread(MIDPOINTS[4]), spread(CODES[5]), found)
    found = where_above(x, spread(MIDPOINTS[5]), spread(CODES[6]), found)
    found = where_above(x, spread(MIDPOINTS[6]), spread(CODES[7]), found)
    found = where_above(x, spread(MIDPOINTS[7]), spread(CODES[8]), found)
    found = where_above(x, spread(MIDPOINTS[8]), spread(CODES[9]), found)
    found = where_above(x, spread(MIDPOINTS[9]), spread(CODES[10]), found)
    found = where_above(x, spread(MIDPOINTS[10]), spread(CODES[11]), found)
    found = where_above(x, spread(MIDPOINTS[11]), spread(CODES[12]), found)
    found = where_above(x, spread(MIDPOINTS[12]), spread(CODES[13]), found)
    found = where_above(x, spread(MIDPOINTS[13]), spread(CODES[14]), found)
    return where_above(x, spread(MIDPOINTS[14]), spread(CODES[15]), found)
