"""The kernel of 8-bit codes with a scale a row, called without the encoding around it."""

import numpy as np

from passes.encodings.kernels.compiling import FINE, FLOAT32, NOT_FINITE
from passes.encodings.kernels.w8a8 import int8_rows


def run(rows):
    codes, scales = np.empty(rows.size, np.uint8), np.empty(len(rows), np.float32)
    words = rows.view(np.uint16)
    words.flags.writeable = False
    report = int8_rows(words, FLOAT32, codes, scales)
    return report, codes.view(np.int8).reshape(rows.shape), scales


def test_the_largest_magnitude_is_the_largest_code_and_halves_go_to_even():
    rows = np.array([[127, -2.5, 3.5, 0], [-254, 1, 3, 127]], np.float32)
    report, codes, scales = run(rows)
    assert report == FINE
    assert scales.tolist() == [1, 2]
    assert codes.tolist() == [[127, -2, 4, 0], [-127, 0, 2, 64]]


def test_what_is_not_finite_is_reported():
    for bad in (np.nan, np.inf, -np.inf):
        assert run(np.array([[1, bad]], np.float32))[0] == NOT_FINITE
