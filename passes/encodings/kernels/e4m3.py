"""E4M3 (float8_e4m3fn) codes from float32 and back: 4 bits exponent, 3 bits mantissa, bias 7."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import bits_of, float_of
from passes.encodings.kernels.compiling import compiled

BIAS = np.int32(960)
"""What the exponent field of a float32 exceeds that of an E4M3 by, in E4M3's last place."""

SMALLEST_NORMAL = np.float32(2.0**-6)
ROUND_DENORMAL = np.float32(2.0**14)
"""The sum with it has its last place at 2**-9, the unit of E4M3 denormals: adding rounds."""

FROM_E4M3 = np.float32(2.0**120)
"""Moves a float32 with the exponent field of an E4M3 to the E4M3's value, denormals too."""


@compiled
def to_e4m3(value: np.float32) -> np.uint32:
    """The E4M3 nearest to a ``value`` of at least 0, as bits; ties to even.

    Above 464 there is none: what is returned then lies above 0x7E, the code of 448.
    """
    bits = bits_of(value)
    odd = (bits >> np.uint32(20)) & np.uint32(1)
    normal = np.int32((bits + np.uint32(0x7FFFF) + odd) >> np.uint32(20)) - BIAS
    denormal = np.int32(bits_of(value + ROUND_DENORMAL) - bits_of(ROUND_DENORMAL))
    return np.uint32(denormal if value < SMALLEST_NORMAL else normal)


@compiled
def from_e4m3(code: np.uint32) -> np.float32:
    """The value of a non-negative E4M3."""
    return np.float32(float_of(np.uint32(code) << np.uint32(20)) * FROM_E4M3)
