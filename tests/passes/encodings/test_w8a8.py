"""w8a8: codes and scales held against torch's own rounding."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.encodings import encoding
from tests.support.rows import hard_rows

W8A8 = encoding("w8a8")
VANISHING = 2.0**-126 * 127
"""Rows of no larger weights are stored as zeros."""


def test_the_stored_weights_are_those_that_torch_rounds_to():
    import torch

    rows = np.random.default_rng(0).normal(0, 0.1, (9, 33)).astype(np.float32)
    codes, scales = W8A8.encode(rows)
    by_torch = torch.fake_quantize_per_channel_affine(
        torch.from_numpy(rows),
        torch.from_numpy(np.abs(rows).max(1) / np.float32(127)),
        torch.zeros(9, dtype=torch.int32),
        *(0, -127, 127),
    )
    np.testing.assert_array_equal(W8A8.decode((codes, scales), 9, 33), by_torch.numpy())


@settings(max_examples=60, deadline=None)
@given(recipe=hard_rows(st.integers(1, 70)))
def test_no_weight_is_farther_than_half_a_step_from_what_it_decodes_to(recipe):
    rows = recipe.make()
    weights = rows.astype(np.float32)
    codes, scales = W8A8.encode(rows)
    steps = scales.view(np.float32).astype(np.float64)[:, None]
    magnitudes = np.abs(weights).max(1, keepdims=True)
    assert codes.view(np.int8).min() >= -127
    assert np.array_equal(steps == 1, (magnitudes < VANISHING) | (magnitudes == 127))
    decoded = codes.view(np.int8).reshape(rows.shape) * steps
    off = np.abs(decoded - weights)[magnitudes[:, 0] >= VANISHING]
    assert (off <= (0.5 + 1e-4) * steps[magnitudes[:, 0] >= VANISHING]).all()


def test_a_row_of_zeros_and_one_of_vanishing_weights_are_zeros():
    rows = np.array([[0, 0, 0], [1e-38, -1e-40, 0], [127, 1, -127]], np.float32)
    codes, scales = W8A8.encode(rows)
    assert scales.view(np.float32).tolist() == [1, 1, 1]
    assert codes.view(np.int8).reshape(rows.shape).tolist() == [[0] * 3, [0] * 3, [127, 1, -127]]


def test_its_layers_take_inputs_of_eight_bits():
    assert W8A8.input_bits == 8
    assert encoding("int8").input_bits is None
