"""Operators in torch give what those in numpy give, and unknown ones are refused."""

import numpy as np
import onnx_ir as ir
import pytest

from convert.errors import UnsupportedError
from passes.autoround.operators import operator_of
from passes.calibration.operators import operator_of as array_operator_of

RNG = np.random.default_rng(0)


def some(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def node(op, *attributes):
    inputs = [ir.val(f"x{i}") for i in range(5)]
    return ir.node(op, inputs, attributes=dict(attributes))


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "arrays"),
    [
        ("Split", [("axis", 1), ("num_outputs", 3)], [some(2, 7)], []),
        ("Split", [("axis", -1)], [some(2, 7)], [np.array([3, 4])]),
        ("Pad", [], [some(2, 3)], [np.array([1, 0, 2, 4])]),
        ("Squeeze", [], [some(1, 3, 1)], [np.array([0, 2])]),
        ("Unsqueeze", [], [some(3, 2)], [np.array([0, 3])]),
        ("Reshape", [], [some(2, 6)], [np.array([0, 3, -1])]),
        ("Gather", [("axis", 1)], [some(2, 5, 3)], [np.array([[4, 0], [1, 1]])]),
        ("Concat", [("axis", 1)], [some(2, 3), some(2, 1)], []),
        ("Cast", [("to", 11)], [some(3)], []),
        ("Gelu", [("approximate", "tanh")], [some(9)], []),
        ("LayerNormalization", [("axis", -1), ("epsilon", 1e-5)], [some(2, 8)], [some(8), some(8)]),
    ],
)
def test_both_give_the_same(op, attributes, inputs, arrays):
    import torch

    made = node(op, *attributes)
    wanted = array_operator_of(made)(*inputs, *arrays)
    found = operator_of(made)(*(torch.from_numpy(each) for each in inputs), *arrays)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("unknown", [node("Det"), node("Mul", ("axis", 1))])
def test_what_is_not_known_is_refused(unknown):
    with pytest.raises(UnsupportedError, match="autoround cannot run"):
        operator_of(unknown)
