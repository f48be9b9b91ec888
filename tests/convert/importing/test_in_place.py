"""Tensors that are written piece by piece."""

import pytest

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


@pytest.mark.parametrize("kind", ["steps", "stale", "overlapping", "nested", "turned"])
def test_what_is_no_range_is_refused(kind):
    def function(x, positions):
        y = x * 2
        if kind == "steps":
            y[..., ::2] = x[..., ::2]
        elif kind == "overlapping":
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
