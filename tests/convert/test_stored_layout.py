"""Weights that a graph rearranged go back where they came from."""

from __future__ import annotations

import numpy as np
import pytest

from convert.convolution_weights import CarriedBias, CollapsedTaps, Taps
from convert.errors import UnsupportedError
from convert.graph import parameters
from convert.stored_layout import in_checkpoint_layout
from convert.weights import ArrayWeight, RowRange, RowRanges, read_float32
from passes.lfa_fusion import LfaFusion
from tests.support.models import small_model


@pytest.mark.parametrize("changes", [{}, {"num_attention_heads": 3, "hidden_size": 30}], ids=str)
def test_every_weight_of_a_fused_yuan_comes_back(changes):
    model = small_model("yuan", **changes)
    graph = model.graph()
    LfaFusion()(graph)
    weights = {name: one.weight for name, one in parameters(graph).items()}
    stored = ((name, read_float32(weight)) for name, weight in weights.items())
    found = dict(in_checkpoint_layout(weights, stored))
    assert found.keys() == model.weights.keys()
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(found[name], weight.array)


def test_rearranged_twice():
    source = ArrayWeight("w", np.arange(24, dtype=np.float32).reshape(6, 2, 2, 1))
    taps = Taps(source)
    cut = RowRanges("cut", (RowRange(taps, 3, 6), RowRange(taps, 0, 3)))
    swapped = RowRanges("swapped", (RowRange(cut, 2, 6), RowRange(cut, 0, 2)))
    (restored,) = in_checkpoint_layout({"s": swapped}, [("s", read_float32(swapped))])
    assert restored[0] == "w"
    np.testing.assert_array_equal(restored[1], source.array)


def test_a_tensor_comes_only_when_all_its_rows_are_there():
    source = ArrayWeight("w", np.arange(8, dtype=np.float32).reshape(4, 2))
    halves = {
        "low": RowRanges("low", (RowRange(source, 0, 2),)),
        "high": RowRanges("high", (RowRange(source, 2, 4),)),
    }
    low = [("low", read_float32(halves["low"]))]
    assert list(in_checkpoint_layout(halves, low)) == []
    both = [*low, ("high", read_float32(halves["high"]))]
    assert [name for name, _ in in_checkpoint_layout(halves, both)] == ["w"]


def test_what_is_unknown_or_of_another_shape_is_passed_on_for_others_to_judge():
    weights = {"w": ArrayWeight("w", np.ones((2, 3), np.float32))}
    stored = [("x", np.ones((1, 1), np.float32)), ("w", np.ones((3, 2), np.float32))]
    assert [values.shape for _, values in in_checkpoint_layout(weights, stored)] == [(1, 1), (3, 2)]


@pytest.mark.parametrize("kind", [CollapsedTaps, CarriedBias])
def test_a_product_is_refused(kind):
    outer = ArrayWeight("outer", np.ones((4, 2, 2, 1), np.float32))
    inner = ArrayWeight("inner", np.ones((2, 4, 2, 1), np.float32))
    bias = ArrayWeight("bias", np.ones(2, np.float32))
    one = kind("p", outer, inner) if kind is CollapsedTaps else kind("p", outer, bias, (1,))
    with pytest.raises(UnsupportedError, match="p is a product"):
        list(in_checkpoint_layout({"p": one}, [("p", read_float32(one))]))


def test_two_graphs_of_one_checkpoint_read_each_weight_once():
    """What reads the same is the same for the stream, and nothing else is."""
    model = small_model("yuan")
    for form in ("pair", "collapsed"):
        identities = []
        for _ in range(2):
            graph = model.graph()
            LfaFusion(form)(graph)
            identities.append([one.weight.identity for one in parameters(graph).values()])
        assert identities[0] == identities[1]
        assert len(set(identities[0])) == len(identities[0])
