"""A trace holds for every length, or is refused; everything on the way has its errors."""

import numpy as np
import pytest

from convert.errors import BrokenInputError, UnsupportedArchitectureError
from convert.importing.axes import Axes, expression_of
from convert.importing.call import Call
from convert.importing.skeleton import skeleton
from convert.importing.tracing import trace
from convert.importing.translating import HANDLERS, _numbers
from convert.importing.translation import INT64, Translation, dtype_of
from tests.support.imported import formula, raw_config


def test_tokens_and_slots_are_axes_of_their_own():
    found = trace(skeleton(raw_config("llama", num_hidden_layers=1)))
    assert set(found.axes.values()) == {"batch", "sequence", "total_sequence"}


def test_a_branch_by_length_is_refused():
    def function(x, positions):
        return x * 2 if x.shape[1] < 64 else x

    with pytest.raises(UnsupportedArchitectureError, match="for any length") as refused:
        formula(function)
    assert "at most 63" in str(refused.value)


def test_values_decide_nothing():
    def function(x, positions):
        return x * 2 if bool((positions > 3).any()) else x

    with pytest.raises(UnsupportedArchitectureError, match="cannot be traced"):
        formula(function)


def test_a_call_without_a_form_says_where():
    def function(x, positions):
        return x.var(-1, keepdim=True)

    with pytest.raises(UnsupportedArchitectureError, match=r"aten\.var") as refused:
        formula(function)
    assert "correction" in str(refused.value)


def test_turned_parts_written_in_place_are_refused():
    def function(x, positions):
        y = x * 1
        y.transpose(1, 2).add_(1)
        return y

    with pytest.raises(UnsupportedArchitectureError, match="in place"):
        formula(function)


def test_values_that_transformers_does_not_take():
    with pytest.raises(BrokenInputError, match="does not take"):
        skeleton(raw_config("llama", hidden_size="wide"))


def test_buffers_have_the_values_that_they_have_after_loading():
    made = skeleton(raw_config("llama", num_hidden_layers=1, rope_theta=100.0))
    expected = 100.0 ** (-np.arange(0, 8, 2) / 8)
    np.testing.assert_allclose(made.buffers["model.rotary_emb.inv_freq"], expected, rtol=1e-6)
    assert all(each.is_meta for each in made.model.parameters())


def test_lengths_are_numbers_or_computed():
    import sympy

    to = Translation({"s0": "batch"}, {})
    assert isinstance(to.axes, Axes)
    size = sympy.Symbol("s0", integer=True)
    assert [to.axes.dim(each) for each in (3, size, 2 * size)] == [3, "batch", "2*batch"]
    assert expression_of(sympy.Integer(4)) == 4
    with pytest.raises(UnsupportedArchitectureError, match="more than batch and tokens"):
        to.axes.vector([size])


def test_equal_constants_are_one_and_casts_of_them_are_constants():
    to = Translation({}, {})
    assert to.constant(np.array([1, 2])) is to.constant(np.array([1, 2]))
    cast = to.cast(to.constant(np.array([1.5], np.float32)), INT64)
    assert cast.const_value is not None and cast.const_value.numpy().tolist() == [1]
    assert dtype_of("torch.bfloat16") == dtype_of("torch.float32")


def test_numbers_that_do_not_fit_are_the_largest():
    call = Call(Translation({}, {}), {}, None)
    lowest = call.as_value(-1e300)
    assert lowest.const_value is not None
    assert lowest.const_value.numpy() == np.finfo(np.float32).min
    assert "aten.linear.default" in HANDLERS


def test_numbers_that_no_trace_keeps():
    import torch

    with pytest.raises(UnsupportedArchitectureError, match="whose numbers no trace keeps"):
        _numbers(torch.zeros(2, device="meta"))
    assert _numbers(torch.ones(2)).tolist() == [1, 1]
