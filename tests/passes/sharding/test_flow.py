"""An axis follows through an operator exactly where cutting the input cuts the output."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from passes.sharding.flow import ELEMENTWISE, follow

FLOAT = ir.TensorType(ir.DataType.FLOAT)


def value(name, *shape):
    return ir.Value(name=name, type=FLOAT, shape=ir.Shape(shape))


def numbers(*items):
    tensor = ir.tensor(np.array(items, np.int64))
    return ir.Value(name="c", const_value=tensor, shape=tensor.shape, type=FLOAT)


def followed(kind, inputs, output, index, at, /, **attributes):
    packed = [ir.convenience.convert_attribute(name, item) for name, item in attributes.items()]
    node = ir.Node("", kind, inputs, packed, outputs=[value("y", *output)])
    found = follow(node, index, at)
    return None if found is None else [axis for _, axis in found]


X = value("x", "b", "s", 12)


@pytest.mark.parametrize(
    ("old", "new", "axis", "expected"),
    [
        (("b", "s", 12), ("b", "s", 3, 4), 2, [2]),
        (("b", "s", 3, 4), ("b", "s", 12), 2, [2]),
        (("b", "s", 3, 4), ("b", "s", 12), 3, None),
        (("b", "s", 12), ("b", "s", 2, 3, 2), 2, [2]),
        (("b", "s", 4, 6), ("b", "s", 8, 3), 2, [2]),
        (("b", "s", 12), ("b", "s", 12), 2, [2]),
        (("b", "s", 12), ("b", "t", 12), 2, None),
        (("b", 6, 4), ("b", 4, 6), 1, [1]),
    ],
)
def test_reshape_keeps_the_outermost_axis(old, new, axis, expected):
    shape = numbers(*[size if isinstance(size, int) else 0 for size in new])
    assert followed("Reshape", [value("x", *old), shape], new, 0, axis) == expected


def test_reshape_to_a_computed_shape_ends_the_way():
    assert followed("Reshape", [X, value("shape", 3)], ("b", "s", 12), 0, 2) is None


@pytest.mark.parametrize("kind", sorted(ELEMENTWISE))
def test_elementwise_operators_align_at_the_last_axis(kind):
    assert followed(kind, [X], ("b", "s", 12), 0, 2) == [2]
    assert followed(kind, [value("v", 12), X], ("b", "s", 12), 0, 0) == [2]


CASES = {
    "transpose": ("Transpose", [X], ("b", 12, "s"), 0, 2, {"perm": (0, 2, 1)}, [1]),
    "concat": ("Concat", [X, X], ("b", "s", 24), 0, 2, {"axis": 2}, [2]),
    "norm over it": ("RMSNormalization", [X, value("g", 12)], ("b", "s", 12), 0, 2, {}, None),
    "norm within it": (
        "RMSNormalization",
        [value("x", "b", "s", 3, 4), value("g", 4)],
        ("b", "s", 3, 4),
        0,
        2,
        {"axis": -1},
        [2],
    ),
    "norm's gain": ("RMSNormalization", [X, value("g", 12)], ("b", "s", 12), 1, 0, {}, None),
    "softmax over it": ("Softmax", [X], ("b", "s", 12), 0, 2, {}, None),
    "softmax beside it": ("Softmax", [X], ("b", "s", 12), 0, 2, {"axis": 1}, [2]),
    "gather beside it": ("Gather", [X, value("i", "t")], ("b", "t", 12), 0, 2, {"axis": 1}, [2]),
    "gather before it": (
        "Gather",
        [X, value("i", 2, 3)],
        ("b", 2, 3, 12),
        0,
        2,
        {"axis": 1},
        [3],
    ),
    "gather from it": ("Gather", [X, value("i", 2)], ("b", "s", 2), 0, 2, {"axis": 2}, None),
    "slice beside it": (
        "Slice",
        [X, numbers(0), numbers(2), numbers(1)],
        ("b", 2, 12),
        0,
        2,
        {},
        [2],
    ),
    "slice of it": (
        "Slice",
        [X, numbers(0), numbers(2), numbers(-1)],
        ("b", "s", 2),
        0,
        2,
        {},
        None,
    ),
    "pad beside it": ("Pad", [X, numbers(0, 1, 0, 0, 0, 0)], ("b", "t", 12), 0, 2, {}, [2]),
    "pad of it": ("Pad", [X, numbers(0, 0, 1, 0, 0, 0)], ("b", "s", 13), 0, 2, {}, None),
    "pad of a named axis": (
        "Pad",
        [X, numbers(1, 0), value("zero"), numbers(2)],
        ("b", "s", 13),
        0,
        2,
        {},
        None,
    ),
    "squeeze": ("Squeeze", [value("x", 1, "s", 12), numbers(0)], ("s", 12), 0, 2, {}, [1]),
    "unsqueeze": ("Unsqueeze", [X, numbers(1)], ("b", 1, "s", 12), 0, 2, {}, [3]),
    "another length": ("Shape", [X], (1,), 0, 2, {"start": 0, "end": 2}, []),
    "its length": ("Shape", [X], (3,), 0, 2, {}, None),
    "heads are rotated": (
        "RotaryEmbedding",
        [value("x", "b", 3, "s", 4), value("c", "b", "s", 2)],
        ("b", 3, "s", 4),
        0,
        1,
        {},
        [1],
    ),
    "a head's dimensions are rotated": (
        "RotaryEmbedding",
        [value("x", "b", 3, "s", 4), value("c", "b", "s", 2)],
        ("b", 3, "s", 4),
        0,
        3,
        {},
        None,
    ),
    "an unknown operator": ("Einsum", [X], ("b", "s", 12), 0, 2, {}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_operators(case):
    kind, inputs, output, index, axis, attributes, expected = CASES[case]
    assert followed(kind, inputs, output, index, axis, **attributes) == expected


@pytest.mark.parametrize(("index", "axis", "expected"), [(0, 1, [1]), (1, 1, []), (2, 1, [])])
def test_heads_of_attention(index, axis, expected):
    q, k = value("q", "b", 6, "s", 4), value("k", "b", 2, "t", 4)
    found = followed("Attention", [q, k, k], ("b", 6, "s", 4), index, axis)
    assert found == expected


@pytest.mark.parametrize(("index", "axis"), [(0, 3), (1, 2), (3, 1)])
def test_attention_mixes_all_other_axes(index, axis):
    q, k, mask = (
        value("q", "b", 6, "s", 4),
        value("k", "b", 6, "t", 4),
        value("m", "b", 6, "s", "t"),
    )
    assert followed("Attention", [q, k, k, mask], ("b", 6, "s", 4), index, axis) is None


def test_operators_of_other_domains_are_not_known():
    node = ir.Node("com.example", "Add", [X, X], outputs=[value("y", "b", "s", 12)])
    assert follow(node, 0, 2) is None


def test_without_shapes_nothing_follows():
    node = ir.Node("", "Add", [X, X], outputs=[ir.Value(name="y")])
    assert follow(node, 0, 2) is None
