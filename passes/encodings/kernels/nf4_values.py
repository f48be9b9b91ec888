"""The value of NF4's codebook that is nearest to a number."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.compiling import compiled
from passes.encodings.kernels.nf4 import MIDPOINTS

VALUES = tuple(
    np.float32(value)
    for value in (
        *(-1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.091050036, 0.0),
        *(0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0),
    )
)
"""The codebook, as float32."""


@compiled
def nearest_value(x: np.float32) -> np.float32:
    """The value of the codebook nearest to ``x``; of two equally near the lower.

    The binary search of `choose_codes`, which keeps one half of the values, too, at each step.
    """
    eight = x > MIDPOINTS[7]
    m0 = MIDPOINTS[8] if eight else MIDPOINTS[0]
    m1 = MIDPOINTS[9] if eight else MIDPOINTS[1]
    m2 = MIDPOINTS[10] if eight else MIDPOINTS[2]
    m3 = MIDPOINTS[11] if eight else MIDPOINTS[3]
    m4 = MIDPOINTS[12] if eight else MIDPOINTS[4]
    m5 = MIDPOINTS[13] if eight else MIDPOINTS[5]
    m6 = MIDPOINTS[14] if eight else MIDPOINTS[6]
    v0 = VALUES[8] if eight else VALUES[0]
    v1 = VALUES[9] if eight else VALUES[1]
    v2 = VALUES[10] if eight else VALUES[2]
    v3 = VALUES[11] if eight else VALUES[3]
    v4 = VALUES[12] if eight else VALUES[4]
    v5 = VALUES[13] if eight else VALUES[5]
    v6 = VALUES[14] if eight else VALUES[6]
    v7 = VALUES[15] if eight else VALUES[7]
    four = x > m3
    m0, m1, m2 = (m4 if four else m0), (m5 if four else m1), (m6 if four else m2)
    v0, v1 = (v4 if four else v0), (v5 if four else v1)
    v2, v3 = (v6 if four else v2), (v7 if four else v3)
    two = x > m1
    one = x > (m2 if two else m0)
    low, high = (v2 if two else v0), (v3 if two else v1)
    return high if one else low
