"""State variables start as they should, grow or stay, and forget."""

from __future__ import annotations

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from targets.openvino.state import read_state


@pytest.fixture
def request_of_sums():
    """Adds its input to a state of one row, and puts out the state it found."""
    x = ops.parameter([-1, 1, 3], np.float32, name="x")
    batch = ops.gather(ops.shape_of(x), np.array([0], np.int64), np.int64(0))
    state = read_state("state", batch, [1, 3])
    sink = ops.assign(ops.add(state, x), "state")
    model = openvino.Model([ops.result(state)], [sink], [x], "sums")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(model, "CPU", exact).create_infer_request()


def test_a_state_of_fixed_length_starts_with_zeros_again_after_a_reset(request_of_sums):
    for batch in (2, 3):
        x = np.arange(3 * batch, dtype=np.float32).reshape(batch, 1, 3)
        found = [np.array(request_of_sums.infer([x])[0]) for _ in range(3)]
        for times, state in enumerate(found):
            np.testing.assert_array_equal(state, times * x)
        request_of_sums.reset_state()


def test_a_free_axis_starts_empty():
    batch = ops.constant(np.array([2], np.int64))
    state = read_state("state", batch, [4, None, 8])
    start = state.input_value(0).get_node()
    assert list(start.get_output_shape(0)) == [2, 4, 0, 8]
    assert str(state.get_output_partial_shape(0)) == "[?,4,?,8]"
