"""Nothing but attention lets a token know of others: looked for in a graph, operator by operator.

What does otherwise would be wrong as soon as a cache, padding or another sequence comes into play:
a cache holds keys and values alone. Every value that depends on the tokens is followed along the
axis on which they lie; no operator but attention may go across it. Experts may put tokens in their
own order, if they put them back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from convert.errors import UnsupportedArchitectureError
from convert.graph import INPUT_IDS, LOGITS
from convert.importing.aten.experts import EXPERT_LINEAR
from convert.importing.content import of_ids
from convert.importing.raising.patterns import integers_of, rank_of
from convert.importing.token_axes import (
    Axes,
    Deal,
    TokensMixedError,
    alone,
    axes_of,
    broadcast,
    has_tokens,
    regrouped,
    token_axis,
)

_BY_ELEMENT = frozenset(
    (
        *("Abs", "Add", "And", "Cast", "Ceil", "Clip", "Cos", "Div", "Elu", "Equal", "Erf", "Exp"),
        *("Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity"),
        *("IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Min", "Mish", "Mod"),
        *("Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sign", "Sin"),
        *("Softplus", "Sqrt", "Sub", "Swish", "Tanh", "Where", "Xor"),
    )
)
_ALONG_ONE = ("Softmax", "LogSoftmax", "CumSum")
_REDUCING = (
    *("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
    *("ReduceProd", "ReduceSum", "ReduceSumSquare"),
)


def require_tokens_apart(model: ir.Model) -> None:
    """Refuse a graph in which something but attention mixes tokens.

    Raises:
        UnsupportedArchitectureError: With the name of the operator.
    """
    walk = _Walk(model)
    for node in model.graph:
        if not any(value in walk.said for value in node.inputs):
            continue
        try:
            walk.step(node)
        except TokensMixedError as error:
            raise _refused(node, str(error)) from error
    for value in model.graph.outputs:
        if value.name == LOGITS and token_axis(walk.axes.get(value, ())) != 1:
            raise UnsupportedArchitectureError("the logits are not those of each token")


def _refused(node: ir.Node, reason: str) -> UnsupportedArchitectureError:
    return UnsupportedArchitectureError(
        "something but attention mixes tokens",
        expected="operators that compute of each token what follows from it alone",
        found=f"{node.op_type} {node.name}: {reason}",
        remedy="a cache of keys and values does not hold what this needs",
    )


class _Walk:
    """What is known so far: the axes of each value that depends on the tokens."""

    def __init__(self, model: ir.Model) -> None:
        self.said = of_ids(model)
        ids = next(value for value in model.graph.inputs if value.name == INPUT_IDS)
        self.axes: dict[ir.Value, Axes] = {ids: axes_of(ids)}
        self.undoing: dict[ir.Value, Deal] = {}

    def step(self, node: ir.Node) -> None:
        """Find the axes of what a node puts out."""
        kind = node.op_type
        if kind in ("Shape", "Size"):
            return
        rule = _RULES.get(kind) or (_by_element if kind in _BY_ELEMENT else None)
        if rule is None:
            raise TokensMixedError("not known to keep tokens apart")
        axes = alone(rule(self, node))
        for value in node.outputs:
            if value.name:
                self.axes.setdefault(value, axes)

    def of(self, value: ir.Value | None) -> Axes:
        """The axes of a value."""
        if value is None:
            raise TokensMixedError("an operand is missing")
        return self.axes[value] if value in self.axes else axes_of(value)

    def across(self, node: ir.Node, *places: int) -> Axes:
        """The axes of the first operand, of which these do not go from token to token."""
        axes = self.of(node.inputs[0])
        if any(has_tokens(axes[place]) for place in places):
            raise TokensMixedError("goes across the tokens")
        return axes


def _by_element(walk: _Walk, node: ir.Node) -> Axes:
    return broadcast([walk.of(each) for each in node.inputs if each is not None])


def _axis(node: ir.Node, default: int = -1) -> int:
    given = node.attributes.get("axis")
    axis = given.as_int() if given is not None else default
    return axis % max(rank_of(node.inputs[0]), 1)


def _along_one(walk: _Walk, node: ir.Node) -> Axes:
    if node.op_type == "CumSum":
        (axis,) = integers_of(node.inputs[1]) or (0,)
        return walk.across(node, axis)
    return walk.across(node, _axis(node))


def _reduced(walk: _Walk, node: ir.Node) -> Axes:
    places = integers_of(node.inputs[1]) if len(node.inputs) > 1 else None
    rank = rank_of(node.inputs[0])
    dropped = {place % rank for place in (range(rank) if places is None else places)}
    axes = walk.across(node, *dropped)
    keeps = node.attributes.get("keepdims")
    if keeps is None or keeps.as_int():
        return tuple(() if place in dropped else axis for place, axis in enumerate(axes))
    return tuple(axis for place, axis in enumerate(axes) if place not in dropped)


def _normalized(walk: _Walk, node: ir.Node) -> Axes:
    return walk.across(node, *range(_axis(node), rank_of(node.inputs[0])))


def _product(walk: _Walk, node: ir.Node) -> Axes:
    first, second = (walk.of(each) for each in node.inputs)
    if len(first) < 2 or len(second) < 2:
        raise TokensMixedError("a product with a vector")
    if has_tokens(first[-1]) or has_tokens(second[-2]):
        raise TokensMixedError("a sum over tokens")
    outer = broadcast([first[:-2], second[:-2]]) if len(first) + len(second) > 4 else ()
    return (*outer, first[-2], second[-1])


def _einsum(walk: _Walk, node: ir.Node) -> Axes:
    equation = node.attributes["equation"].as_string().replace(" ", "")
    inputs, _, output = equation.partition("->")
    if "." in equation:
        raise TokensMixedError("an equation with dots")
    found: dict[str, tuple[object, ...]] = {}
    for letters, value in zip(inputs.split(","), node.inputs, strict=True):
        for letter, axis in zip(letters, walk.of(value), strict=True):
            if letter not in found or has_tokens(axis):
                found[letter] = axis
    if any(has_tokens(axis) and letter not in output for letter, axis in found.items()):  # type: ignore[arg-type]
        raise TokensMixedError("a sum over tokens")
    return tuple(found[letter] for letter in output)  # type: ignore[misc]


def _transposed(walk: _Walk, node: ir.Node) -> Axes:
    axes = walk.of(node.inputs[0])
    return tuple(axes[place] for place in node.attributes["perm"].as_ints())


def _reshaped(walk: _Walk, node: ir.Node) -> Axes:
    return regrouped(walk.of(node.inputs[0]), axes_of(node.outputs[0]))


def _expanded(walk: _Walk, node: ir.Node) -> Axes:
    return broadcast([walk.of(node.inputs[0]), axes_of(node.outputs[0])])


def _joined(walk: _Walk, node: ir.Node) -> Axes:
    axis = _axis(node)
    parts = [walk.of(each) for each in node.inputs]
    if any(has_tokens(part[axis]) for part in parts):
        raise TokensMixedError("tokens behind others")
    wide = axes_of(node.outputs[0])[axis]
    rest = broadcast([(*part[:axis], (), *part[axis + 1 :]) for part in parts])
    return (*rest[:axis], wide, *rest[axis + 1 :])


def _cut(walk: _Walk, node: ir.Node) -> Axes:
    """A part of the first operand along some axes, or more of it."""
    before, behind = walk.of(node.inputs[0]), axes_of(node.outputs[0])
    found = []
    for place, (old, new) in enumerate(zip(before, behind, strict=True)):
        same = _text(node.inputs[0], place) == _text(node.outputs[0], place)
        if has_tokens(old) and not same:
            raise TokensMixedError("some of the tokens")
        found.append(old if same else new)
    return tuple(found)


def _split(walk: _Walk, node: ir.Node) -> Axes:
    axes = walk.across(node, _axis(node, 0))
    for value in node.outputs:
        here = _axis(node, 0)
        walk.axes[value] = (*axes[:here], axes_of(value)[here], *axes[here + 1 :])
    return walk.axes[node.outputs[0]]


def _tiled(walk: _Walk, node: ir.Node) -> Axes:
    """Each axis as often as is said, one behind the other."""
    times = integers_of(node.inputs[1])
    if times is None:
        raise TokensMixedError("repeated as often as is computed")
    axes = walk.of(node.inputs[0])
    return tuple(
        (number, *axis) if number != 1 else axis for number, axis in zip(times, axes, strict=True)
    )


def _text(value: ir.Value | None, place: int) -> str:
    assert value is not None and value.shape is not None
    return str(value.shape[place])


def _gathered(walk: _Walk, node: ir.Node) -> Axes:
    table, rows = (walk.of(each) for each in node.inputs)
    axis = _axis(node, 0)
    said_table, said_rows = (each in walk.said for each in node.inputs)
    if said_table and has_tokens(table[axis]):
        return _dealt(walk, node, table, rows, axis)
    kept = tuple(
        () if said_rows and not said_table and has_tokens(each) else each for each in table
    )
    if said_table and said_rows and any(map(has_tokens, rows)):
        raise TokensMixedError("rows of every token for every token")
    return (*kept[:axis], *rows, *kept[axis + 1 :])


def _dealt(walk: _Walk, node: ir.Node, table: Axes, rows: Axes, axis: int) -> Axes:
    """Tokens in the order of their experts, or put back."""
    value = node.inputs[1]
    undone = walk.undoing.get(value) if value is not None else None
    if axis or len(rows) != 1:
        raise TokensMixedError("tokens chosen by something computed")
    if undone is not None and table[0] == (undone,):
        return (undone.rows, *table[1:])
    if len(rows[0]) == 1 and isinstance(rows[0][0], Deal) and not _deals(table[0]):
        return (rows[0], *table[1:])
    raise TokensMixedError("tokens chosen by something computed")


def _deals(axis: tuple[object, ...]) -> bool:
    return any(isinstance(each, Deal) for each in axis)


def _by_places(walk: _Walk, node: ir.Node) -> Axes:
    """Elements read from, or written to, places along an axis."""
    axes = walk.across(node, _axis(node, 0))
    places = walk.of(node.inputs[1])
    others = [list(each) for each in (axes, places)]
    for each in others:
        each[_axis(node, 0)] = ()
    rest = broadcast([tuple(each) for each in others])
    here, result = _axis(node, 0), axes_of(node.outputs[0])
    return (*rest[:here], result[here], *rest[here + 1 :])


def _top(walk: _Walk, node: ir.Node) -> Axes:
    axes, axis = walk.of(node.inputs[0]), _axis(node)
    if not has_tokens(axes[axis]):
        return (*axes[:axis], axes_of(node.outputs[0])[axis], *axes[axis + 1 :])
    if len(axes) != 1:
        raise TokensMixedError("tokens in the order of something computed")
    (rows,) = axes
    source = node.inputs[0].producer() if node.inputs[0] is not None else None
    if len(rows) == 1 and isinstance(rows[0], Deal) and source is not None:
        if source.op_type == "TopK" and source.outputs[1] is node.inputs[0]:
            walk.undoing[node.outputs[1]] = rows[0]
            return (rows[0].rows,)
        raise TokensMixedError("tokens in the order of something computed")
    return ((Deal(rows),),)


def _attention(walk: _Walk, node: ir.Node) -> Axes:
    for value in node.inputs[:3]:
        if token_axis(walk.of(value)) != 2:
            raise TokensMixedError("queries, keys or values are not those of tokens in a row")
    mask = node.inputs[3] if len(node.inputs) > 3 else None
    if mask in walk.said:
        raise TokensMixedError("where it looks follows from the tokens")
    if len(node.outputs) > 3:
        scores = node.outputs[3]
        walk.axes[scores] = (*walk.of(node.inputs[0])[:3], ("slots",))
    return (*walk.of(node.inputs[0])[:3], walk.of(node.inputs[2])[3])


def _expert_linear(walk: _Walk, node: ir.Node) -> Axes:
    rows, columns = walk.of(node.inputs[0])
    if has_tokens(columns):
        raise TokensMixedError("a sum over tokens")
    return (rows, axes_of(node.outputs[0])[1])


Rule = Callable[[_Walk, ir.Node], Axes]

_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_ALONG_ONE, _along_one),
    **dict.fromkeys(_REDUCING, _reduced),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _normalized),
    **dict.fromkeys(("Slice", "Pad", "Trilu"), _cut),
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze"), _reshaped),
    **dict.fromkeys(("GatherElements", "ScatterElements"), _by_places),
    "Attention": _attention,
    "Concat": _joined,
    "Einsum": _einsum,
    "Expand": _expanded,
    "Gather": _gathered,
    "MatMul": _product,
    "RotaryEmbedding": lambda walk, node: walk.across(node, 1, 3),
    "Split": _split,
    "Tile": _tiled,
    "TopK": _top,
    "Transpose": _transposed,
    EXPERT_LINEAR: _expert_linear,
}
