"""Tensors that are written piece by piece."""

import pytest
import torch

from convert.errors import UnsupportedArchitectureError
from convert.importing.in_place import VIEWS
from tests.support.imported import assert_same

pytestmark = pytest.mark.slow  # every test traces a program


def test_pieces_side_by_side():
    def function(x, positions):
        y = x.new_empty(x.shape)
        y[..., :5].copy_(2 * x[..., :5])
        y[..., 5:].copy_(x[..., 5:] - 1)
        z = x * 3
        z[..., 2:4] = x[..., :2]
        z[..., 2:4] = z[..., 3:5].clone()
        return y + z

    assert_same(function)


def test_places_at_equal_distances():
    def function(x, positions):
        y = x * 2
        y[..., 1:11:3] = x[..., :4]
        y[..., 2:12:5] = x[..., 4:6] - 1
        y[..., :2] = 3 * x[..., :2]
        return y

    assert_same(function)


def test_a_row_of_a_tensor_of_which_other_rows_are_read():
    def function(x, positions):
        rows = torch.stack([x, 2 * x, 3 * x])
        first = rows[0]
        first[..., 1:11:3] = rows[1][..., 1:11:3]
        first[..., 2:12:3] = rows[2][..., 2:12:3]
        return first

    assert_same(function)


def test_a_part_whose_whole_nobody_reads_again():
    def turned(x, positions):
        y = (x * 2).permute([0, 2, 1])
        y += x.transpose(1, 2)
        return y.transpose(1, 2)

    assert_same(turned)


@pytest.mark.parametrize("kind", ["stale", "overlapping", "nested", "turned", "whole", "again"])
def test_what_is_no_range_is_refused(kind):
    def function(x, positions):
        y = x * 2
        if kind in {"whole", "again"}:
            rows = torch.stack([x, y])
            rows[0][..., 1:3] = x[..., :2]
            return rows.sum(0) if kind == "whole" else rows[0]
        if kind == "overlapping":
            y[..., :4] = x[..., :4]
            y[..., 3:5] = x[..., :2]
        elif kind == "nested":
            y[..., :4][..., 1:2] = x[..., :1]
        elif kind == "turned":
            y.permute([2, 0, 1]).copy_(x.permute([2, 0, 1]))
        else:
            before = y[..., :3]
            y[..., 1:2] = x[..., :1]
            y[..., :3] = before * 2
        return y

    with pytest.raises(UnsupportedArchitectureError, match="in place"):
        assert_same(function)
    assert "aten.slice.Tensor" in VIEWS
