"""Numbers that a model makes tensors of are not lost on a device without memory."""

import pytest

from convert.importing.stated_numbers import numbers_of, stating_numbers
from tests.support.imported import assert_same


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (3, ([3], [])),
        ([1.5, 2], ([1.5, 2], [2])),
        ([[1, 2, 3], [4, 5, 6]], ([1, 2, 3, 4, 5, 6], [2, 3])),
        ([[1], [2, 3]], None),
        ([1, "x"], None),
        ([], None),
        ([0] * 5000, None),
    ],
)
def test_numbers_in_lists(given, found):
    assert numbers_of(given) == found


def test_tensors_are_what_torch_makes():
    import torch

    for given in (True, 2, 2.5, [1, 2], [[1.0, 2], [3, 4]], [True, False]):
        expected = torch.tensor(given)
        with stating_numbers():
            found = torch.tensor(given)
        assert found.dtype == expected.dtype and torch.equal(found, expected)
    x = torch.arange(24).reshape(2, 3, 4)
    for index in ((..., [-2], slice(None)), ([1],), (0, [2, 0]), (slice(None), [0, 1]), [1, 0]):
        with stating_numbers():
            found = x[index]
        assert torch.equal(found, x[index])


@pytest.mark.slow
def test_numbers_of_a_traced_model():
    def function(x, positions):
        import torch

        weights = torch.tensor([0.5, 2.0, -1.0], device=x.device)
        return x[..., [-3, -2]] * weights[[0, 2]] + torch.tensor(0.25, device=x.device)

    assert_same(with_numbers(function))


def with_numbers(function):
    def stated(x, positions):
        with stating_numbers():
            return function(x, positions)

    return stated
