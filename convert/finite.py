"""Is every weight a number? Looked up in the exponent bits, without a float copy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convert.weights import FloatType, Rows

# IEEE 754: a value is NaN or infinite when all its exponent bits are set.
_EXPONENTS: dict[FloatType, tuple[str, int]] = {
    FloatType.F32: ("u4", 0x7F80_0000),
    FloatType.F16: ("u2", 0x7C00),
    FloatType.BF16: ("u2", 0x7F80),
}


def all_finite(rows: Rows) -> bool:
    """Whether no element of a float32, float16 or bfloat16 array is NaN or infinite."""
    bits, exponent = _bits(rows)
    # The largest masked exponent decides; max needs no boolean array.
    return rows.size == 0 or int((bits & bits.dtype.type(exponent)).max()) != exponent


def first_nonfinite(rows: Rows) -> tuple[int, ...] | None:
    """Index of the first NaN or infinite element in row-major order; None if there is none."""
    bits, exponent = _bits(rows)
    bad = np.flatnonzero((bits & bits.dtype.type(exponent)) == exponent)
    if bad.size == 0:
        return None
    return tuple(int(axis) for axis in np.unravel_index(int(bad[0]), rows.shape))


def _bits(rows: Rows) -> tuple[NDArray[np.unsignedinteger], int]:
    kind = next((kind for kind in FloatType if kind.numpy == rows.dtype), None)
    if kind is None:
        raise TypeError(f"weights are float32, float16 or bfloat16, not {rows.dtype}")
    dtype, exponent = _EXPONENTS[kind]
    return np.ascontiguousarray(rows).view(dtype), exponent
