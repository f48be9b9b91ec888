"""ggml MXFP4: w = 2**(exponent - 128) * value, blocks of 32, values 0 1 2 3 4 6 8 12 of both signs;
4.25 bits a weight.

The format is that of the OCP Microscaling Formats (MX) specification 1.0, with FP4 values doubled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convert.weights import Rows
from passes.encodings.base import Bytes
from passes.encodings.compiled import Words
from passes.encodings.fitting import fused, importance_of, side_by_side
from passes.encodings.ggml import (
    BLOCK,
    BlockEncoding,
    Floats,
    pack_halves,
    reciprocal,
    unpack_halves,
)
from passes.encodings.weighting import WeightableEncoding

VALUES: Floats = np.array([0, 1, 2, 3, 4, 6, 8, 12], np.float32)
MIDPOINTS: Floats = (VALUES[1:] + VALUES[:-1]) / np.float32(2)
SHIFTS = (1, -1)
"""Added to the usual exponent."""

LARGEST_EXPONENT = 252
"""With a larger one, the larger values exceed float32."""


class MXFP4(WeightableEncoding, BlockEncoding):
    """17 bytes a block: exponent, 16 bytes of codes; a fourth bit is the sign.

    Plain, `encode` equals ``quantize_row_mxfp4_ref`` of ggml-quants.c, but for exponents below 0,
    which are 0 here, and where ggml's logarithm rounds up to a whole number.
    """

    name = "mxfp4"
    block_bytes = 17
    largest = "3.4e38"

    def run_plain(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        return self.run_weighted(words, kind, np.empty(0, np.float32), planes)

    def run_weighted(
        self, words: Words, kind: int, importance: Floats, planes: tuple[Bytes, ...]
    ) -> int:
        from passes.encodings.kernels.mxfp4 import mxfp4_blocks

        return mxfp4_blocks(words, kind, importance, planes[0].reshape(-1, self.block_bytes))

    def plain_reference(self, rows: Rows) -> tuple[Bytes, ...]:
        blocks = rows.astype(np.float32).reshape(-1, BLOCK)
        self.checked(rows, blocks)
        return self._stored(blocks, usual_exponents(blocks))

    def weighted_reference(self, rows: Rows, importance: Floats) -> tuple[Bytes, ...]:
        blocks = rows.astype(np.float32).reshape(-1, BLOCK)
        self.checked(rows, blocks)
        usual = usual_exponents(blocks)
        with np.errstate(all="ignore"):
            inverse = reciprocal(scales_of(usual))
            x, m = side_by_side(rows, BLOCK), importance_of(importance, BLOCK, len(rows))
            best, moved = squared_error(x, m, inverse, 0), np.zeros_like(usual)
            for shift in SHIFTS:
                error = squared_error(x, m, inverse, shift)
                moved[error < best] = shift
                best = np.where(error < best, error, best)
        return self._stored(blocks, np.clip(usual + moved, 0, LARGEST_EXPONENT))

    def _stored(self, blocks: Floats, exponents: NDArray[np.int32]) -> tuple[Bytes, ...]:
        bounds = MIDPOINTS[:, None, None] * scales_of(exponents)[:, None]
        codes = (np.abs(blocks) > bounds).sum(0)
        codes += np.where((blocks < 0) & (codes > 0), 8, 0)
        parts = (exponents[:, None].astype(np.uint8), pack_halves(codes.astype(np.float32)))
        return (np.concatenate(parts, 1).reshape(-1),)

    def decode_blocks(self, blocks: Bytes) -> Floats:
        codes = unpack_halves(blocks[:, 1:]).astype(np.uint8)
        values = VALUES[codes & 7] * np.where(codes > 8, np.float32(-1), np.float32(1))
        weights: Floats = scales_of(blocks[:, 0].astype(np.int32))[:, None] * values
        return weights


def usual_exponents(blocks: Floats) -> NDArray[np.int32]:
    """Those at which the largest magnitude of a block is from 8 to 16, as far as there are."""
    largest = np.abs(blocks).max(1)
    # 2**exponent times 0.5 to 1.
    _, exponent = np.frexp(largest)
    return np.where(largest > 0, np.maximum(exponent + 124, 0), 0).astype(np.int32)


def scales_of(exponents: NDArray[np.int32]) -> Floats:
    """Powers of two; the two smallest are float32 denormals."""
    scales: Floats = np.ldexp(np.float32(1), exponents - 128)
    return scales


def squared_error(x: Floats, m: Floats, inverse: Floats, shift: int) -> Floats:
    """Of blocks ``[32, blocks]``, weighted, in units of the usual scales.

    Args:
        x: Weights.
        m: Importances.
        inverse: Reciprocals of the usual scales.
        shift: What is added to the usual exponents.
    """
    power, error = np.float32(2.0**shift), np.zeros(x.shape[1], np.float32)
    size = np.abs(x * (inverse / power))
    missing = (size - VALUES[np.searchsorted(MIDPOINTS, size)]) * power
    for row, counted in zip(missing, m, strict=True):
        error = fused(counted * row, row, error)
    return error
