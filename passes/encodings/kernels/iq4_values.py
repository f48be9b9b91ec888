"""The codebook of IQ4_NL and IQ4_XS: ``kvalues_iq4nl`` in ggml-common.h."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.codes import ROUND
from passes.encodings.kernels.compiling import compiled
from passes.encodings.kernels.vectors import (
    Vector,
    fused,
    greatest,
    least,
    minus,
    plus,
    spread,
    where_above,
)

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


PLACE = tuple(
    np.float32(factor)
    for factor in (
        *(8.186579e-11, -6.9163247e-10, -2.7435426e-06, 1.9509705e-06),
        *(0.085292354, -0.12156448),
    )
)
"""Polynomial that rounds to the place, from -8 on, of the value nearest to a number. It errs by
0.026 at most: where two values are about equally near, the farther may be found."""

AT_PLACE = tuple(
    np.float32(factor) for factor in (0.0015860428, 0.08183981, -0.016812054, 11.43981, 1.4329897)
)
"""Polynomial that rounds to the value at a place."""


@compiled
def near_values(x: Vector) -> Vector:
    """Values that are nearest to numbers, or nearly so: half the work of looking them up."""
    rounding = spread(ROUND)
    within = least(greatest(x, spread(VALUES[0])), spread(VALUES[15]))
    place = fused(spread(PLACE[0]), within, spread(PLACE[1]))
    place = fused(place, within, spread(PLACE[2]))
    place = fused(place, within, spread(PLACE[3]))
    place = fused(place, within, spread(PLACE[4]))
    place = fused(place, within, spread(PLACE[5]))
    place = minus(plus(place, rounding), rounding)
    value = fused(spread(AT_PLACE[0]), place, spread(AT_PLACE[1]))
    value = fused(value, place, spread(AT_PLACE[2]))
    value = fused(value, place, spread(AT_PLACE[3]))
    value = fused(value, place, spread(AT_PLACE[4]))
    return minus(plus(value, rounding), rounding)


@compiled
def nearest_codes(x: Vector) -> Vector:
    """The places of the values nearest to numbers; of two equally near the lower."""
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
