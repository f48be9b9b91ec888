"""The reader of GPTQ words, by examples worked out by hand."""

from __future__ import annotations

import numpy as np

from targets.ipex.unpack import codes, weights, zero_points

WORD = 0x76543210
HIGHEST = np.uint32(0xFEDCBA98).astype(np.int32)


def test_the_first_code_is_the_lowest():
    assert codes(np.array([[WORD, HIGHEST]], np.int32)).tolist() == [
        [place, place + 8] for place in range(8)
    ]


def test_zero_points_are_stored_less_one():
    assert zero_points(np.array([[WORD]], np.int32)).tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]


def test_columns_take_scale_and_zero_point_of_their_group():
    scales = np.arange(1, 17, dtype=np.float16).reshape(2, 8)
    qzeros = np.array([[0x77777777], [0x33333333]], np.int32)
    qweight = np.full((2, 8), WORD, np.int32)
    group_of = np.array([0] * 8 + [1] * 8, np.int32)
    found = weights(qweight, qzeros, scales, group_of)
    assert found.shape == (8, 16)
    for row in range(8):
        assert found[row, :8].tolist() == [(code - 8) * (row + 1) for code in range(8)]
        assert found[row, 8:].tolist() == [(code - 4) * (row + 9) for code in range(8)]
