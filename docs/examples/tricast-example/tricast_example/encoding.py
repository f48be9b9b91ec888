"""int8_p2: one byte a weight, a power of two a row: w = 2**e * code, e the least that fits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convert.errors import NonFiniteWeightError, UnsupportedEncodingError
from convert.weights import Rows
from passes.encodings.base import Bytes, Encoding, Plane

LARGEST_CODE = 127
EXPONENTS = (-24, 15)
"""Of the powers of two that a float16 holds."""


class PowerOfTwo(Encoding):
    """Hardware multiplies by such scales by shifting."""

    name = "int8_p2"
    judged_as = "int8"

    def planes(self, columns: int) -> tuple[Plane, ...]:
        return (Plane("codes", "i8", (columns,)), Plane("scales", "f16", (1,)))

    def encode(self, rows: Rows) -> tuple[Bytes, ...]:
        return self.reference(rows)

    def reference(self, rows: Rows) -> tuple[Bytes, ...]:
        values = rows.astype(np.float32)
        if not np.isfinite(values).all():
            raise NonFiniteWeightError("a weight is not finite")
        largest = np.abs(values).max(axis=1, keepdims=True)
        exponent = np.ceil(np.log2(np.maximum(largest, 2.0**-50) / LARGEST_CODE))
        if exponent.max(initial=EXPONENTS[0]) > EXPONENTS[1]:
            raise UnsupportedEncodingError("int8_p2 holds no weights that large")
        scale = np.exp2(np.maximum(exponent, EXPONENTS[0])).astype(np.float32)
        codes = np.clip(np.rint(values / scale), -LARGEST_CODE, LARGEST_CODE).astype(np.int8)
        return (
            codes.view(np.uint8).reshape(-1),
            scale.astype(np.float16).view(np.uint8).reshape(-1),
        )

    def decode(self, planes: tuple[Bytes, ...], rows: int, columns: int) -> NDArray[np.float32]:
        codes = planes[0].reshape(-1).view(np.int8).reshape(rows, columns)
        scales = planes[1].reshape(-1).view(np.float16).astype(np.float32)
        decoded: NDArray[np.float32] = codes * scales[:, None]
        return decoded
