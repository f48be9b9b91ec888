"""From an array of weights to a kernel and back: what all encodings with a kernel share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from convert.errors import NonFiniteWeightError, UnsupportedEncodingError
from convert.weights import FloatType, Rows
from passes.encodings.base import Bytes, Encoding

Words = NDArray[np.uint16]
RunKernel = Callable[[Words, int], int]

_KINDS = {FloatType.F32.numpy: 0, FloatType.F16.numpy: 1, FloatType.BF16.numpy: 2}
_FINE, _NOT_FINITE = 0, 1


class CompiledEncoding(Encoding):
    """An encoding whose `encode` is one of the `passes.encodings.kernels`.

    `encode` runs on the calling thread without the GIL: any number of threads may encode
    different rows at once.
    """

    largest: str
    """The largest magnitude that can be stored, in words for an error message."""

    @abstractmethod
    def run_kernel(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        """Call the kernel; return what it reports."""

    def encode(self, rows: Rows) -> tuple[Bytes, ...]:
        """Encode ``rows`` ``[n, columns]`` (f32, f16 or bf16) into one byte array a plane.

        Raises:
            NonFiniteWeightError: A weight is NaN or infinite.
            UnsupportedEncodingError: A weight, or a scale, is too large for its storage type.
        """
        planes = self.empty_planes(*rows.shape)
        self.encode_into(rows, planes)
        return planes

    def encode_into(self, rows: Rows, planes: tuple[Bytes, ...]) -> None:
        if self.fit(rows.shape[1]) is not self:
            raise UnsupportedEncodingError(
                f"rows of {rows.shape[1]} weights do not fit encoding {self.name!r}",
                expected="rows that divide into its blocks or groups",
                remedy="ask the encoding's fit for one that these rows fit",
            )
        contiguous = np.ascontiguousarray(rows)
        words = contiguous.view(np.uint16)
        # One flag for all callers, because numba compiles again for each combination of flags.
        words.flags.writeable = False
        self.check(self.run_kernel(words, _KINDS[contiguous.dtype], planes))

    def check(self, report: int) -> None:
        """Raise the error that a kernel's report stands for, if any."""
        if report == _FINE:
            return
        if report == _NOT_FINITE:
            raise NonFiniteWeightError(
                "a weight is NaN or infinite",
                expected="finite weights only",
                remedy="the checkpoint is damaged or its training diverged; get another copy",
            )
        raise UnsupportedEncodingError(
            f"a weight is too large for encoding {self.name!r}",
            expected=f"magnitudes up to about {self.largest}",
            remedy="store this tensor as bf16 or f32",
        )

    def checked(self, rows: Rows, stored: NDArray[np.floating]) -> None:
        """For a reference: check weights and the floats made of them as the kernel does."""
        if not np.isfinite(rows.astype(np.float32)).all():
            self.check(_NOT_FINITE)
        if not np.isfinite(stored.astype(np.float32)).all():
            self.check(2)
