"""What the FP8 kernels are made of."""

import numpy as np
import pytest

from passes.encodings.kernels.compiling import FINE, FLOAT32, NOT_FINITE
from passes.encodings.kernels.fp8 import (
    fp8_rows,
    fp8_scaled_rows,
    largest_magnitude,
    store_codes,
)


def bits(values):
    return np.array(values, np.float32).view(np.uint32)


def test_the_largest_magnitude_is_of_any_sign_and_nan_exceeds_infinity():
    assert largest_magnitude(bits([1.0, -3.0, 2.0])) == bits(3.0)
    assert largest_magnitude(bits([np.inf, -np.nan])) > bits(np.inf)
    assert largest_magnitude(bits([-0.0])) == 0


def test_codes_keep_the_sign_of_zero_and_saturate():
    codes = np.empty(5, np.uint8)
    store_codes(bits([0.0, -0.0, -2.0, 3e38, 1e-9]), np.float32(2), np.uint32(0x77), codes)
    assert codes.tolist() == [0, 0x80, 0xB8, 0x77, 0]


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_row_that_is_not_finite_is_reported(bad):
    rows = np.ones((3, 4), np.float32)
    rows[2, 1] = bad
    codes, scales = np.empty((3, 4), np.uint8), np.empty(3, np.float32)

    def run(words):
        largest, code = np.float32(448), np.uint32(0x7E)
        return (
            fp8_rows(words, FLOAT32, largest, code, codes[: len(words)], scales[: len(words)]),
            fp8_scaled_rows(words, FLOAT32, np.float32(1), code, codes[: len(words)]),
        )

    words = rows.view(np.uint16)
    assert run(words) == (NOT_FINITE, NOT_FINITE)
    assert run(words[:2]) == (FINE, FINE)
