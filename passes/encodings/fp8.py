"""fp8 and fp8_tensor: E4M3 codes with a float32 scale for each row, or one for the tensor.

A weight is code * scale. The bytes are float8_e4m3fn's (OCP 8-bit floating point, E4M3: bias 7,
no infinity, largest 448). ``_240`` keeps to the codes up to 240, for hardware that reads the
exponent of the larger ones as infinity and NaN; its bytes mean the same otherwise.
"""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from convert.errors import NonFiniteWeightError, UnsupportedEncodingError
from convert.weights import Rows
from passes.encodings.base import Bytes, Plane
from passes.encodings.compiled import CompiledEncoding, Words

Floats = NDArray[np.float32]

LARGEST_VALUE = 448
"""What the code 0x7E stands for; 0x7F is NaN."""

SMALLEST_SCALE = np.float32(2.0**-126)
"""The smallest normal float32: hardware takes smaller ones for zero."""


class Fp8(CompiledEncoding):
    """What both kinds share.

    Weights are divided by the scale, rounded to nearest, ties to even, and saturate at the
    largest code; no code is NaN. A scale that would be no normal float32 (a row of zeros, or
    of weights that vanish in any computation) is 1, and the codes are zero.

    Args:
        largest_value: The value of the largest code in use: 448 or 240.
    """

    family: str
    largest = "3.4e38"

    def __init__(self, largest_value: int = LARGEST_VALUE) -> None:
        self.largest_value = largest_value
        suffix = "" if largest_value == LARGEST_VALUE else f"_{largest_value}"
        self.name = f"{self.family}{suffix}"

    @property
    def largest_byte(self) -> int:
        """The largest code in use, as a byte without its sign."""
        return int(np.float32(self.largest_value).astype(ml_dtypes.float8_e4m3fn).view(np.uint8))

    def scale_for(self, largest: float) -> np.float32:
        """The scale at which a weight of magnitude ``largest`` gets the largest code.

        Raises:
            NonFiniteWeightError: There is none.
        """
        if not (math.isfinite(largest) and largest >= 0):
            raise NonFiniteWeightError(
                "the largest magnitude of a tensor is no finite number",
                expected="finite weights only",
                found=str(largest),
                remedy="the checkpoint is damaged or its training diverged; get another copy",
            )
        scale: np.float32 = np.float32(largest) / np.float32(self.largest_value)
        return scale if scale >= SMALLEST_SCALE else np.float32(1)

    def reference_codes(self, weights: Floats, scales: Floats | np.float32) -> Bytes:
        """The bytes of ``weights`` divided by ``scales``, which are broadcast."""
        bound = np.float32(self.largest_value)
        with np.errstate(over="ignore"):
            scaled = np.clip(weights / scales, -bound, bound)
        codes: Bytes = scaled.astype(ml_dtypes.float8_e4m3fn).view(np.uint8).reshape(-1)
        return codes


class Fp8Rows(Fp8):
    """A scale for each row: what runtimes call per channel."""

    family = "fp8"

    def planes(self, columns: int) -> tuple[Plane, ...]:
        """Codes ``(columns,)`` and scales ``(1,)``."""
        return (Plane("codes", "f8e4m3", (columns,)), Plane("scales", "f32", (1,)))

    def run_kernel(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        from passes.encodings.kernels.fp8 import fp8_rows

        codes, scales = planes[0].reshape(len(words), -1), planes[1].view(np.float32)
        largest = np.float32(self.largest_value)
        return fp8_rows(words, kind, largest, np.uint32(self.largest_byte), codes, scales)

    def reference(self, rows: Rows) -> tuple[Bytes, ...]:
        weights = rows.astype(np.float32)
        with np.errstate(all="ignore"):
            scales = np.abs(weights).max(1, keepdims=True) / np.float32(self.largest_value)
        self.checked(rows, scales)
        scales = np.where(scales < SMALLEST_SCALE, np.float32(1), scales)
        return self.reference_codes(weights, scales), scales.view(np.uint8).reshape(-1)

    def decode(self, planes: tuple[Bytes, ...], rows: int, columns: int) -> Floats:
        scales = planes[1].reshape(-1).view(np.float32)
        return decode_codes(planes[0]).reshape(rows, columns) * scales[:, None]


class Fp8Tensor(Fp8):
    """One scale for the whole tensor, which its largest weight decides: see `bound`.

    An encoding sees some rows at a time, so the scale must be known before the first; until
    then only sizes can be asked for. It is not among the planes: whoever lays the tensor out
    stores it.

    Args:
        largest_value: The value of the largest code in use: 448 or 240.
        scale: Of the tensor; None while it is not known.
    """

    family = "fp8_tensor"

    def __init__(self, largest_value: int = LARGEST_VALUE, scale: np.float32 | None = None) -> None:
        super().__init__(largest_value)
        self._scale = scale

    @property
    def is_bound(self) -> bool:
        """Whether the scale is known."""
        return self._scale is not None

    @property
    def scale(self) -> np.float32:
        """The tensor's scale.

        Raises:
            UnsupportedEncodingError: It is not known.
        """
        if self._scale is None:
            raise UnsupportedEncodingError(
                f"the scale of an encoding {self.name!r} is not known",
                expected="the largest weight of the tensor, from a calibration run",
                remedy="calibrate, or choose fp8, which has a scale for each row",
            )
        return self._scale

    def bound(self, largest: float) -> Fp8Tensor:
        """This encoding for a tensor whose largest magnitude is ``largest``.

        Raises:
            NonFiniteWeightError: That is no finite number.
        """
        return Fp8Tensor(self.largest_value, self.scale_for(largest))

    def planes(self, columns: int) -> tuple[Plane, ...]:
        """Codes ``(columns,)``."""
        return (Plane("codes", "f8e4m3", (columns,)),)

    def run_kernel(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        scale = self.scale
        from passes.encodings.kernels.fp8 import fp8_scaled_rows

        codes = planes[0].reshape(len(words), -1)
        return fp8_scaled_rows(words, kind, scale, np.uint32(self.largest_byte), codes)

    def reference(self, rows: Rows) -> tuple[Bytes, ...]:
        weights = rows.astype(np.float32)
        self.checked(rows, weights)
        return (self.reference_codes(weights, self.scale),)

    def decode(self, planes: tuple[Bytes, ...], rows: int, columns: int) -> Floats:
        weights: Floats = decode_codes(planes[0]).reshape(rows, columns) * self.scale
        return weights


def decode_codes(codes: Bytes) -> Floats:
    """The values of E4M3 bytes, by ml_dtypes."""
    values: Floats = codes.reshape(-1).view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    return values
