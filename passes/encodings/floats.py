"""Floating-point storage: f32, f16 and bf16, rounded to nearest, ties to even."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convert.weights import FloatType, Rows
from passes.encodings.base import Bytes, Plane
from passes.encodings.compiled import CompiledEncoding, Words

_LARGEST = {FloatType.F32: "3.4e38", FloatType.F16: "65504", FloatType.BF16: "3.39e38"}
_LOSSLESS = {
    FloatType.F32: frozenset({"f32", "f16", "bf16"}),
    FloatType.F16: frozenset({"f16"}),
    FloatType.BF16: frozenset({"bf16"}),
}
_KINDS = {FloatType.F32: 0, FloatType.F16: 1, FloatType.BF16: 2}


class FloatEncoding(CompiledEncoding):
    """Plain floats. A finite weight that would round to infinity is refused.

    Args:
        dtype: The type to store.
    """

    def __init__(self, dtype: FloatType) -> None:
        self.dtype = dtype
        self.name = dtype.value
        self.largest = _LARGEST[dtype]
        self.lossless_from = _LOSSLESS[dtype]

    def planes(self, columns: int) -> tuple[Plane, ...]:
        return (Plane("values", self.dtype.value, (columns,)),)

    def run_kernel(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        from passes.encodings.kernels.floats import convert_floats

        stored = planes[0].view(np.uint16).reshape(len(words), -1)
        return convert_floats(words, kind, stored, _KINDS[self.dtype])

    def reference(self, rows: Rows) -> tuple[Bytes, ...]:
        with np.errstate(over="ignore"):
            stored = rows.astype(np.float32).astype(self.dtype.numpy)
        self.checked(rows, stored)
        return (np.ascontiguousarray(stored).view(np.uint8).reshape(-1),)

    def decode(self, planes: tuple[Bytes, ...], rows: int, columns: int) -> NDArray[np.float32]:
        stored = planes[0].reshape(-1).view(self.dtype.numpy)
        return stored.astype(np.float32).reshape(rows, columns)
