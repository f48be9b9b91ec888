"""Parts of a weight: together they are the whole, or the error says what is not."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import TensorMismatchError
from targets.ranks.description import Cut
from targets.ranks.parts import put_together


def test_copies_that_differ_are_named():
    cut = Cut(0, (((0, 2),), ((1, 3),)))
    parts = [np.array([1.0, 2.0], np.float32), np.array([2.0, 3.0], np.float32)]
    np.testing.assert_array_equal(put_together("w", parts, cut), [1.0, 2.0, 3.0])
    with pytest.raises(TensorMismatchError, match="different values of w"):
        put_together("w", [parts[0], parts[1] + 1], cut)


def test_what_every_rank_has_whole():
    part = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(put_together("w", [part, part], None), part)
    with pytest.raises(TensorMismatchError, match="different values of w"):
        put_together("w", [part, part + 1], None)


def test_a_gap_is_named():
    cut = Cut(1, (((0, 1),), ((2, 3),)))
    parts = [np.ones((2, 1), np.float32)] * 2
    with pytest.raises(TensorMismatchError, match="no rank stores"):
        put_together("w", parts, cut)
