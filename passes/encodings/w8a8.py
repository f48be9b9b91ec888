"""w8a8: one byte a weight and a float32 scale a row, for layers whose inputs are 8 bits, too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convert.weights import Rows
from passes.encodings.base import Bytes, Plane
from passes.encodings.compiled import CompiledEncoding, Words

LARGEST_CODE = np.float32(127)

SMALLEST_SCALE = np.float32(2.0**-126)
"""The smallest normal float32, whose reciprocal is finite."""


class W8A8(CompiledEncoding):
    """Codes -127 to 127: weights over the scale, to the nearest, ties to even.

    The largest magnitude of a row is its largest code. A scale that would be no normal float32 (a
    row of zeros, or of weights that vanish in any computation) is 1, and the codes are zero.

    What is stored of the weights differs from ``int8`` in the type of the scales alone: they
    multiply sums of integer products, and no runtime takes float16 for that. How the inputs are
    rounded is up to the target.
    """

    name = "w8a8"
    input_bits = 8
    largest = "3.4e38"

    def planes(self, columns: int) -> tuple[Plane, ...]:
        """Codes ``(columns,)`` and scales ``(1,)``."""
        return (Plane("codes", "i8", (columns,)), Plane("scales", "f32", (1,)))

    def run_kernel(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        from passes.encodings.kernels.w8a8 import int8_rows

        return int8_rows(words, kind, planes[0], planes[1].view(np.float32))

    def reference(self, rows: Rows) -> tuple[Bytes, ...]:
        weights = rows.astype(np.float32)
        with np.errstate(all="ignore"):
            scales = np.abs(weights).max(1, keepdims=True) / LARGEST_CODE
        self.checked(rows, scales)
        scales = np.where(scales < SMALLEST_SCALE, np.float32(1), scales)
        scaled = np.rint(weights * (np.float32(1) / scales))
        codes = np.clip(scaled, -LARGEST_CODE, LARGEST_CODE).astype(np.int8)
        return codes.view(np.uint8).reshape(-1), scales.view(np.uint8).reshape(-1)

    def decode(self, planes: tuple[Bytes, ...], rows: int, columns: int) -> NDArray[np.float32]:
        codes = planes[0].reshape(rows, columns).view(np.int8).astype(np.float32)
        return codes * planes[1].reshape(-1).view(np.float32)[:, None]
