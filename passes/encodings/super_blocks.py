"""What ggml's K formats share: super-blocks of 256 weights whose blocks' scales are codes, too."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from convert.weights import Rows
from passes.encodings.base import Bytes
from passes.encodings.fitting import side_by_side
from passes.encodings.ggml import BlockEncoding, Floats
from passes.encodings.weighting import WeightableEncoding

SUPER_BLOCK = 256


class SuperBlockEncoding(WeightableEncoding, BlockEncoding):
    """A format of super-blocks. Plain, all columns of a super-block count the same."""

    block = SUPER_BLOCK

    @abstractmethod
    def encode_super_blocks(self, x: Floats, m: Floats | None) -> tuple[NDArray[np.float16], Bytes]:
        """Reference for super-blocks that lie side by side.

        Args:
            x: Weights ``[256, n]``.
            m: Their importances, likewise; None for plain ones.

        Returns:
            All float16 that are stored, of any shape, to be checked for being finite; and the
            super-blocks ``[n, block_bytes]``.
        """

    def plain_reference(self, rows: Rows) -> tuple[Bytes, ...]:
        return self._reference(rows, None)

    def weighted_reference(self, rows: Rows, importance: Floats) -> tuple[Bytes, ...]:
        return self._reference(rows, importance)

    def _reference(self, rows: Rows, importance: Floats | None) -> tuple[Bytes, ...]:
        x = side_by_side(rows, SUPER_BLOCK)
        m = None
        if importance is not None:
            m = side_by_side(np.tile(importance, len(rows)), SUPER_BLOCK)
        with np.errstate(all="ignore"):
            halves, stored = self.encode_super_blocks(x, m)
        self.checked(rows, halves)
        return (stored.reshape(-1),)


def pack_six_bits(scales: Bytes, minima: Bytes) -> Bytes:
    """Eight pairs of codes 0 to 63 in twelve bytes, as in ``block_q4_K`` of ggml-common.h.

    Bytes 0 to 3 hold the first four scales, 4 to 7 the first four minima, 8 to 11 the low halves
    of the last four scales and, above them, of the last four minima. The upper two bits of the
    last four are the upper two of bytes 0 to 7.

    Args:
        scales: ``[n, 8]``.
        minima: Likewise.

    Returns:
        ``[n, 12]``.
    """
    upper = np.concatenate([scales[:, 4:] >> 4, minima[:, 4:] >> 4], 1) << 6
    lower = np.concatenate([scales[:, :4], minima[:, :4]], 1)
    last = (scales[:, 4:] & 15) | ((minima[:, 4:] & 15) << 4)
    packed: Bytes = np.concatenate([lower | upper, last], 1).astype(np.uint8)
    return packed


def unpack_six_bits(packed: Bytes) -> tuple[Bytes, Bytes]:
    """The inverse of `pack_six_bits`."""
    lower, upper, last = packed[:, :8] & 63, packed[:, :8] >> 6 << 4, packed[:, 8:]
    scales = np.concatenate([lower[:, :4], (last & 15) | upper[:, :4]], 1)
    minima = np.concatenate([lower[:, 4:], (last >> 4) | upper[:, 4:]], 1)
    return scales, minima
