"""Masks and positions of a graph, computed for a few tokens in three ways that must agree.

Whatever depends on the number of tokens, their positions and the padding alone is computed here:
for a text as a whole, for its last tokens behind a cache, with padding on its left. A token must
find the same each time. So positions that count slots are found, masks that let look ahead, that
forget the padding or that have the shape of something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.errors import UnsupportedArchitectureError
from convert.graph import ATTENTION_MASK, BATCH, INPUT_IDS, POSITION_IDS, SEQUENCE, TOTAL_SEQUENCE
from convert.importing.aten.experts import EXPERT_LINEAR
from convert.importing.content import LENGTHS, depending_on
from convert.importing.raising.patterns import array_of

Array = NDArray[Any]

_TOKENS, _NEW, _PADDING = 13, 3, 5
"""Of the text; behind a cache; on its left in the other sequence's company."""

_SIZES: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("Expand", "Reshape", "Slice", "Split", "Tile", "TopK"), (1, 2, 3, 4)),
    **dict.fromkeys(("Pad", "Squeeze", "Unsqueeze", "Trilu", "CumSum"), (1, 2, 3)),
    EXPERT_LINEAR: (1,),
}
"""Operands that say how long axes are, or which rows are whose: they may differ between ways."""

_ROTATION, _ANGLES = "RotaryEmbedding", (1, 2)

_MOST_BYTES = 1 << 30
"""Of tables that are read; more than a graph of ONNX may hold are not looked at."""

_ALL_TOKENS = f"{BATCH}*{SEQUENCE}"

_FORBIDDEN = -1e4

_INTEGER, _OPSET, _IR_VERSION = 7, 21, 10
"""Of ONNX. The operators here are old: every release of onnxruntime that we take can run them."""


@dataclass(frozen=True)
class _Way:
    """How a text is run: ``S`` new tokens of ``T``, the first ``padding`` slots empty."""

    new: int
    total: int
    padding: int = 0

    def inputs(self) -> dict[str, Array]:
        """The inputs of a graph for two sequences, of which the first has the padding."""
        kept = np.ones((2, self.total), np.int64)
        kept[0, : self.padding] = 0
        positions = np.stack([np.maximum(np.arange(self.total) - self.padding, 0)] * 2)
        positions[1] = np.arange(self.total)
        return {
            INPUT_IDS: np.ones((2, self.new), np.int64),
            ATTENTION_MASK: kept,
            POSITION_IDS: positions[:, self.total - self.new :],
        }


_WHOLE = _Way(_TOKENS, _TOKENS)
_WAYS = {
    "behind a cache": _Way(_NEW, _TOKENS),
    "with padding on the left": _Way(_TOKENS + _PADDING, _TOKENS + _PADDING, _PADDING),
    "with padding, behind a cache": _Way(_NEW, _TOKENS + _PADDING, _PADDING),
}


def require_told(model: ir.Model) -> None:
    """Refuse a graph whose masks or positions depend on how a text is cut into runs.

    Raises:
        UnsupportedArchitectureError: With the name of the value.
    """
    part = _Part(model)
    whole = part.computed(_WHOLE)
    masks = {value for value, node in part.read if node.op_type == "Attention"}
    for value in masks & whole.keys():
        _require_mask_shape(value, whole[value], _WHOLE)
        _require_causal(value, whole[value])
    for name, way in _WAYS.items():
        found = part.computed(way)
        slots = part.computed(_Way(way.total, way.total))
        for value, node in part.read:
            if value not in whole or value not in found:
                continue
            if value in masks:
                _require_mask_shape(value, found[value], way)
                same = _equal_masks(found[value], whole[value], way)
            else:
                same = _equal(value, found[value], whole[value], way)
                if not same and part.only_rotates(node):
                    # Rotations by slots: padding turns queries and keys alike.
                    same = _equal(value, found[value], slots[value], way)
            if not same:
                raise _refused(value, node, name)


class _Part:
    """What a graph computes from lengths, positions and padding alone.

    Attributes:
        read: Values that something reads which depends on tokens or parameters, and what does.
    """

    def __init__(self, model: ir.Model) -> None:
        graph = model.graph
        ids = [value for value in graph.inputs if value.name == INPUT_IDS]
        filled = [value for value in graph.initializers.values() if array_of(value) is None]
        self._said = depending_on(model, (*ids, *filled))
        self._of_ids = depending_on(model, ids)
        self.read = list(dict.fromkeys(self._frontier(model)))
        wanted = {value for value, _ in self.read}
        self._nodes = list(_needed(model, wanted, self._said))
        self._wanted = [value for value in wanted if value.producer() is not None]
        self._told = [value for value in wanted if value.producer() is None]

    def _frontier(self, model: ir.Model) -> Iterator[tuple[ir.Value, ir.Node]]:
        told = [each for each in model.graph.inputs if each.name != INPUT_IDS]
        changing = _changing(model, told)
        for node in model.graph:
            if node.op_type in LENGTHS or not any(each in self._said for each in node.outputs):
                continue
            for place, value in enumerate(node.inputs):
                says = value is not None and value in changing and value not in self._said
                if says and value is not None and place not in _SIZES.get(node.op_type, ()):
                    yield value, node

    def only_rotates(self, node: ir.Node) -> bool:
        """Whether tokens meet what a node makes of a value as the angles of a rotation alone."""
        if not any(value in self._of_ids for value in node.outputs):
            uses = [use for value in node.outputs for use in value.uses()]
            return all(
                use.idx in _ANGLES if use.node.op_type == _ROTATION else self.only_rotates(use.node)
                for use in uses
            )
        return node.op_type == _ROTATION

    def computed(self, way: _Way) -> dict[ir.Value, Array]:
        """Each value, computed in a way; none if something in it cannot be."""
        given = way.inputs()
        lengths = {BATCH: 2, SEQUENCE: way.new, TOTAL_SEQUENCE: way.total}
        nodes, constants = [], dict[str, Array]()
        for node in self._nodes:
            first = node.inputs[0] if node.inputs else None
            if node.op_type == "Shape" and first is not None and first in self._said:
                constants[str(node.outputs[0].name)] = _lengths_of(node, lengths)
                continue
            nodes.append(ir.to_proto(node))
            read = [value for value in node.inputs if array_of(value) is not None]
            constants |= {str(value.name): np.asarray(array_of(value)) for value in read if value}
        if sum(array.nbytes for array in constants.values()) > _MOST_BYTES:
            return {}
        names = [str(value.name) for value in self._wanted]
        found = _run(nodes, given, constants, names) if names else []
        told = {value: given[str(value.name)] for value in self._told}
        return told | dict(zip(self._wanted, found, strict=True))


def _run(
    nodes: list[Any], given: Mapping[str, Array], constants: Mapping[str, Array], names: list[str]
) -> list[Array]:
    import onnx
    import onnxruntime

    inputs = [onnx.helper.make_tensor_value_info(name, _INTEGER, None) for name in given]
    stored = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    outputs = [onnx.ValueInfoProto(name=name) for name in names]
    graph = onnx.helper.make_graph(nodes, "told", inputs, outputs, stored)
    opset = onnx.helper.make_opsetid("", _OPSET)
    made = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            made.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return [np.asarray(each) for each in session.run(names, dict(given))]
    except Exception as error:  # whatever an operator makes of shapes that do not fit
        raise UnsupportedArchitectureError(
            "masks and positions of the model cannot be computed for every length",
            expected=f"values for inputs of shapes {[each.shape for each in given.values()]}",
            found=str(error).splitlines()[0][:400],
        ) from error


def _changing(model: ir.Model, told: list[ir.Value]) -> set[ir.Value]:
    """Values that depend on what is told, or on lengths."""
    found = set(told)
    for node in model.graph:
        if node.op_type in LENGTHS or any(each in found for each in node.inputs):
            found |= set(node.outputs)
    return found


def _needed(model: ir.Model, wanted: set[ir.Value], said: set[ir.Value]) -> Iterator[ir.Node]:
    """The nodes that compute values, in order; they end at lengths of what depends on tokens."""
    needed = set(wanted)
    for node in reversed(list(model.graph)):
        if any(value in needed for value in node.outputs):
            needed |= {each for each in node.inputs if each is not None and each not in said}
    for node in model.graph:
        if any(value in needed for value in node.outputs):
            yield node


def _lengths_of(node: ir.Node, lengths: Mapping[str, int]) -> Array:
    x = node.inputs[0]
    assert x is not None and x.shape is not None
    sizes = [
        size if isinstance(size, int) else _length(str(size.value), lengths) for size in x.shape
    ]
    start = node.attributes["start"].as_int() if "start" in node.attributes else 0
    stop = node.attributes["end"].as_int() if "end" in node.attributes else len(sizes)
    return np.array(sizes[start:stop], np.int64)


def _length(text: str, lengths: Mapping[str, int]) -> int:
    import sympy  # type: ignore[import-untyped]

    names = {name: sympy.Integer(size) for name, size in lengths.items()}
    return int(sympy.sympify(text, locals=names))


def _require_mask_shape(mask: ir.Value, array: Array, way: _Way) -> None:
    batch, _, queries, keys = array.shape if array.ndim == 4 else (0, 0, 0, 0)
    if batch in (1, 2) and queries in (1, way.new) and keys in (1, way.total):
        return
    raise UnsupportedArchitectureError(
        "the mask of attention is not one of queries and keys",
        expected=f"[batch, heads, {way.new}, {way.total}] of {way.new} queries, {way.total} keys",
        found=f"{mask.name} of shape {list(array.shape)}",
    )


def _scores(mask: Array, way: _Way) -> Array:
    """What the first sequence's scores are changed by, ``[H, S, T]``; minus infinity forbids."""
    added = np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask.astype(np.float64)
    wide = np.broadcast_to(added, (max(2, len(added)), added.shape[1], way.new, way.total))[0]
    return np.where(wide <= _FORBIDDEN, -np.inf, wide)


def _require_causal(mask: ir.Value, array: Array) -> None:
    ahead = np.triu(np.ones((_TOKENS, _TOKENS), bool), 1)
    if not np.isneginf(_scores(array, _WHOLE)[:, ahead]).all():
        raise UnsupportedArchitectureError(
            "attention looks ahead", expected="causal attention", found=str(mask.name)
        )


def _equal_masks(found: Array, whole: Array, way: _Way) -> bool:
    kept = _scores(found, way)[:, -min(way.new, _TOKENS) :]
    expected = _scores(whole, _WHOLE)[:, -min(way.new, _TOKENS) :]
    padding = np.isneginf(kept[..., : way.padding]).all()
    return bool(padding) and _close(
        _from_largest(kept[..., way.padding :]), _from_largest(expected)
    )


def _from_largest(scores: Array) -> Array:
    """A softmax does not see what all of a row have in common."""
    largest = scores.max(-1, keepdims=True)
    return scores - np.where(np.isfinite(largest), largest, 0)


def _equal(value: ir.Value, found: Array, whole: Array, way: _Way) -> bool:
    """Whether the tokens of the first sequence have the same in both."""
    axes = [str(size).replace("(", "").replace(")", "") for size in value.shape or ()]
    numbers = {array.reshape(-1)[0] for array in (found, whole) if array.size}
    if all((array == number).all() for array in (found, whole) for number in numbers):
        return True
    if axes[:1] == [_ALL_TOKENS]:
        found, whole = (array.reshape(2, -1, *array.shape[1:]) for array in (found, whole))
        axes = [BATCH, SEQUENCE, *axes[1:]]
    if SEQUENCE not in axes:
        return found.shape == whole.shape and _close(found, whole)
    count = min(way.new, _TOKENS)
    parts = []
    for array in (found, whole):
        first = np.take(array, [0], axes.index(BATCH)) if BATCH in axes else array
        parts.append(np.moveaxis(first, axes.index(SEQUENCE), -1)[..., -count:])
    return _close(*parts)


def _close(x: Array, y: Array) -> bool:
    if x.shape != y.shape:
        return False
    if x.dtype.kind != "f":
        return bool((x == y).all())
    return bool(np.allclose(x, y, rtol=1e-5, atol=1e-6, equal_nan=True))


def _refused(value: ir.Value, node: ir.Node, way: str) -> UnsupportedArchitectureError:
    return UnsupportedArchitectureError(
        "what the model adds to its tokens depends on how a text is cut into runs",
        expected="masks and positions that follow from position_ids and the padding",
        found=f"{value.name}, read by {node.name}, is another one {way}",
        remedy="it counts slots instead of tokens, and would be wrong behind padding or a cache",
    )
