"""Inputs as pairs of bfloat16 numbers, laid out for matrix tiles: that needs no processor."""

from __future__ import annotations

import numpy as np

from passes.calibration.matrix_tiles import split_inputs, tile_shapes


def test_two_bfloat16_numbers_hold_an_input_to_2_to_the_minus_17():
    tokens = np.random.default_rng(1).normal(size=(40, 96)).astype(np.float32)
    inputs = np.zeros(64 * 96, np.uint32)
    split_inputs(tokens.view(np.uint32), inputs)
    pairs = inputs.view(np.uint16).astype(np.uint32) << 16
    parts = pairs.view(np.float32).reshape(2, 3, 2, 2, 16, 16, 2)
    # [tokens / 32, features / 32, part, tokens, pairs, tokens, features of a pair]
    laid = parts.transpose(2, 0, 3, 5, 1, 4, 6).reshape(2, 64, 96)
    assert np.all(np.abs(laid[1]) <= 2.0**-8 * np.abs(laid[0]))
    assert np.all(np.abs(laid.sum(axis=0)[:40] - tokens) <= 2.0**-17 * np.abs(tokens))
    assert not laid[:, 40:].any()


def test_eight_tiles_of_16_rows_of_64_bytes():
    shapes = tile_shapes()
    assert shapes[0] == 1 and not shapes[1:16].any()
    assert list(shapes[16:32].view(np.uint16)) == [64] * 8
    assert list(shapes[48:56]) == [16] * 8 and not shapes[56:].any()
