"""Weights along a new axis, and under other names."""

import numpy as np

from convert.importing.derived_weights import TurnedWeight
from convert.importing.stacking import ConvertedWeight, StackedWeight, renamed
from convert.weights import ArrayWeight, FloatType, read_float32

VALUES = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
PARTS = tuple(ArrayWeight(f"w{number}", each) for number, each in enumerate(VALUES))


def test_parts_are_rows():
    stack = StackedWeight("all", PARTS)
    assert (stack.shape, stack.dtype) == ((3, 4, 5), FloatType.F32)
    np.testing.assert_array_equal(read_float32(stack), VALUES)
    np.testing.assert_array_equal(stack.read_rows(1, 2), VALUES[1:2].reshape(1, 20))
    mixed = StackedWeight("all", (PARTS[0], ArrayWeight("h", VALUES[1].astype(np.float16))))
    assert mixed.dtype is FloatType.F32
    assert stack.identity == StackedWeight("other", PARTS).identity != mixed.identity


def test_what_is_made_of_others_is_put_back_under_its_own_name():
    turned = renamed(TurnedWeight(PARTS[0]), "turned")
    assert isinstance(turned, ConvertedWeight)
    assert (turned.name, turned.shape) == ("turned", (5, 4))
    np.testing.assert_array_equal(read_float32(turned), VALUES[0].T)
    ((target, start, rows),) = turned.put_back(VALUES[0].T[1:3], 1)
    assert (target.name, start, rows.shape) == ("turned", 1, (2, 4))
    again = renamed(turned, "again")
    assert isinstance(again, ConvertedWeight) and again.weight is turned.weight
    assert again.identity == turned.identity


def test_what_a_file_holds_stays_what_it_is():
    assert renamed(PARTS[0], "w0") is PARTS[0]
    assert renamed(PARTS[0], "new") == ArrayWeight("new", PARTS[0].array)
