"""y[.., i, ..] = f(x[.., i, ..]): which axis of an operator's outputs follows one of its input.

Along such an axis every rank can compute its own part. An operator that is not in the table, or
that mixes the axis, ends the way: `follow` gives None.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

Followed = list[tuple[ir.Value, int]]
"""Outputs that follow, each with its axis."""

_Follow = Callable[[ir.Node, int, int], "Followed | None"]

ELEMENTWISE = frozenset(
    [
        "Abs",
        "Add",
        "And",
        "Cast",
        "Clip",
        "Cos",
        "Div",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Gelu",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Min",
        "Mish",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pow",
        "Reciprocal",
        "Relu",
        "Sigmoid",
        "Sin",
        "Softplus",
        "Sqrt",
        "Sub",
        "Sum",
        "Swish",
        "Tanh",
        "Where",
    ]
)
"""Operators on equal indices of all inputs, shapes being aligned at their last axes."""


def rank_of(value: ir.Value | None) -> int:
    """Number of axes."""
    assert value is not None and value.shape is not None, f"{value} has no known shape"
    return len(value.shape)


def follow(node: ir.Node, index: int, axis: int) -> Followed | None:
    """Where ``axis`` of input ``index`` of ``node`` goes.

    Args:
        axis: Not negative.

    Returns:
        An empty list if the way ends without harm (attention reads keys by head, say); None if
        the operator needs the whole axis.
    """
    values = (*node.outputs, node.inputs[index])
    if any(value is None or value.shape is None for value in values) or node.domain:
        return None
    if node.op_type in ELEMENTWISE:
        shift = rank_of(node.outputs[0]) - rank_of(node.inputs[index])
        return [(node.outputs[0], axis + shift)]
    rule = _RULES.get(node.op_type)
    return rule(node, index, axis) if rule else None


def constants(value: ir.Value | None) -> list[int] | None:
    """The integers that ``value`` holds, if it is constant."""
    tensor = ir.convenience.get_const_tensor(value) if value is not None else None
    return None if tensor is None else [int(item) for item in tensor.numpy().reshape(-1)]


def _attribute(node: ir.Node, name: str, default: int) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default


def _axis(node: ir.Node, default: int) -> int:
    given = _attribute(node, "axis", default)
    return given if given >= 0 else given + rank_of(node.inputs[0])


def _same(node: ir.Node, axis: int) -> Followed:
    return [(output, axis) for output in node.outputs]


def _transpose(node: ir.Node, index: int, axis: int) -> Followed | None:
    if "perm" not in node.attributes:
        return _same(node, rank_of(node.inputs[0]) - 1 - axis)
    return _same(node, list(node.attributes["perm"].as_ints()).index(axis))


def _reshape(node: ir.Node, index: int, axis: int) -> Followed | None:
    """The outermost axis of those that are joined or cut up stays the outermost."""
    data, result = node.inputs[0], node.outputs[0]
    if index != 0 or constants(node.inputs[1]) is None:
        return None
    assert data is not None and data.shape is not None and result.shape is not None
    old, new = list(data.shape), list(result.shape)
    i = j = 0
    while i < len(old) and j < len(new):
        first_old, first_new, inner, outer = i, j, old[i], new[j]
        i, j = i + 1, j + 1
        while inner != outer:
            if not isinstance(inner, int) or not isinstance(outer, int):
                return None
            if inner < outer and i < len(old) and isinstance(old[i], int):
                inner, i = inner * int(str(old[i])), i + 1
            elif outer < inner and j < len(new) and isinstance(new[j], int):
                outer, j = outer * int(str(new[j])), j + 1
            else:
                return None
        if first_old <= axis < i:
            return _same(node, first_new) if axis == first_old else None
    return None


def _other_axis(default: int) -> _Follow:
    """Any axis but the operator's own."""

    def rule(node: ir.Node, index: int, axis: int) -> Followed | None:
        return None if index != 0 or axis == _axis(node, default) else _same(node, axis)

    return rule


def _before_axis(node: ir.Node, index: int, axis: int) -> Followed | None:
    """Axes before those that are normalized."""
    if index != 0 or axis >= _axis(node, -1):
        return None
    return [(node.outputs[0], axis)]


def _concat(node: ir.Node, index: int, axis: int) -> Followed | None:
    return _same(node, axis)


def _gather(node: ir.Node, index: int, axis: int) -> Followed | None:
    at = _axis(node, 0)
    if index != 0 or axis == at:
        return None
    return _same(node, axis if axis < at else axis + rank_of(node.inputs[1]) - 1)


def _slice(node: ir.Node, index: int, axis: int) -> Followed | None:
    axes = constants(node.inputs[3]) if len(node.inputs) > 3 else None
    if index != 0 or axes is None or axis in _positive(axes, node):
        return None
    return _same(node, axis)


def _pad(node: ir.Node, index: int, axis: int) -> Followed | None:
    pads = constants(node.inputs[1])
    axes = list(range(rank_of(node.inputs[0])))
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        given = constants(node.inputs[3])
        axes = _positive(given, node) if given is not None else []
    if index != 0 or pads is None or len(pads) != 2 * len(axes):
        return None
    padded = {at for at, *both in zip(axes, pads, pads[len(axes) :], strict=False) if any(both)}
    return None if axis in padded else _same(node, axis)


def _squeeze(node: ir.Node, index: int, axis: int) -> Followed | None:
    axes = constants(node.inputs[1]) if len(node.inputs) > 1 else None
    if index != 0 or axes is None:
        return None
    gone = _positive(axes, node)
    return _same(node, axis - sum(at < axis for at in gone))


def _unsqueeze(node: ir.Node, index: int, axis: int) -> Followed | None:
    axes = constants(node.inputs[1])
    if index != 0 or axes is None:
        return None
    rank = rank_of(node.outputs[0])
    new = {at % rank for at in axes}
    kept = [at for at in range(rank) if at not in new]
    return _same(node, kept[axis])


def _shape(node: ir.Node, index: int, axis: int) -> Followed | None:
    """Lengths of other axes do not depend on how this one is cut."""
    rank = rank_of(node.inputs[0])
    start, end = _attribute(node, "start", 0), _attribute(node, "end", rank)
    return None if axis in range(rank)[start:end] else []


def _rotary(node: ir.Node, index: int, axis: int) -> Followed | None:
    by_head = index == 0 and axis == 1 and rank_of(node.inputs[0]) == 4
    return _same(node, axis) if by_head else None


def _attention(node: ir.Node, index: int, axis: int) -> Followed | None:
    """Query heads become heads of the result; key-value heads are read by theirs."""
    if axis != 1 or index > 2 or rank_of(node.inputs[0]) != 4:
        return None
    return [(node.outputs[0], 1)] if index == 0 else []


def _positive(axes: list[int], node: ir.Node) -> list[int]:
    rank = rank_of(node.inputs[0])
    return [axis % rank for axis in axes]


_RULES: dict[str, _Follow] = {
    "Attention": _attention,
    "Concat": _concat,
    "Gather": _gather,
    "LayerNormalization": _before_axis,
    "Pad": _pad,
    "RMSNormalization": _before_axis,
    "Reshape": _reshape,
    "RotaryEmbedding": _rotary,
    "Shape": _shape,
    "Slice": _slice,
    "Softmax": _other_axis(-1),
    "Split": _other_axis(0),
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
