"""The values of NF4's codebook that are nearest to numbers."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.compiling import compiled
from passes.encodings.kernels.nf4 import MIDPOINTS
from passes.encodings.kernels.vectors import Vector, spread, where_above

VALUES = tuple(
    np.float32(value)
    for value in (
        *(-1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.091050036, 0.0),
        *(0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0),
    )
)
"""The codebook, as float32."""


@compiled
def nearest_values(x: Vector) -> Vector:
    """The values of the codebook nearest to numbers; of two equally near the lower."""
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
