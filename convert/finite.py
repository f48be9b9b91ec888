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
# Elements that stay in the processor's cache between masking and comparing.
_BLOCK = 1 << 15


def all_finite(rows: Rows) -> bool:
    """Whether no element of a float32, float16 or bfloat16 array is NaN or infinite."""
    bits, exponent = _bits(rows)
    flat, mask = bits.reshape(-1), bits.dtype.type(exponent)
    masked = np.empty(min(_BLOCK, flat.size), bits.dtype)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        # The largest masked exponent decides.
        if np.bitwise_and(block, mask, out=masked[: block.size]).max() == mask:
            return False
    return True


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
