"""The standard operators that architectures are written in, in numpy float32."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.attention_sinks import SCORES, sink_of
from convert.errors import UnsupportedError
from passes.calibration.attention import attention
from passes.calibration.more_operators import MORE

Array = NDArray[Any]
Operator = Callable[..., Any]
"""Gives an array, or one for each output; None for outputs that nobody asked for."""


def _cast(x: Array, *, to: int) -> Array:
    return x.astype(ir.DataType(to).numpy())


def _shape(x: Array, *, start: int = 0, end: int | None = None) -> Array:
    return np.array(x.shape[start:end], np.int64)


def _range(start: Array, limit: Array, delta: Array) -> Array:
    return np.arange(int(start), int(limit), int(delta), dtype=np.int64)


def _squeeze(x: Array, axes: Array) -> Array:
    return np.squeeze(x, tuple(int(axis) for axis in axes))


def _unsqueeze(x: Array, axes: Array) -> Array:
    return np.expand_dims(x, tuple(int(axis) for axis in axes))


def _reshape(x: Array, shape: Array) -> Array:
    """A length of 0 keeps that of the input, as ONNX has it."""
    return np.reshape(x, [int(n) or x.shape[axis] for axis, n in enumerate(shape)])


def _transpose(x: Array, *, perm: tuple[int, ...]) -> Array:
    return np.transpose(x, perm)


def _split(x: Array, sizes: Array | None = None, *, axis: int, num_outputs: int = 1) -> Any:
    if sizes is None:
        step = -(-x.shape[axis] // num_outputs)
        return tuple(np.split(x, range(step, x.shape[axis], step), axis))
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis))


def _concat(*parts: Array, axis: int) -> Array:
    return np.concatenate(parts, axis)


def _pad(x: Array, pads: Array) -> Array:
    """With zeros."""
    before, after = np.split(pads, 2)
    return np.pad(x, [(int(a), int(b)) for a, b in zip(before, after, strict=True)])


def _gather(table: Array, indices: Array, *, axis: int = 0) -> Array:
    return np.take(table, indices, axis)


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):  # of a large negative number: 1 / inf is the 0 it should be
        result = np.exp(-x)
    result += 1
    return np.reciprocal(result, out=result)


def _gelu(x: Array, *, approximate: str = "none") -> Array:
    """``x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))``, or ``x/2 · (1 + erf(x/√2))``."""
    if approximate != "tanh":
        wide: Array = MORE["Erf"](x * np.float32(np.sqrt(0.5)))
        wide += 1
        wide *= x
        wide *= np.float32(0.5)
        return wide
    inner = x * x
    inner *= np.float32(0.044715)
    inner += 1
    inner *= x
    inner *= np.float32(np.sqrt(2 / np.pi))
    np.tanh(inner, out=inner)
    inner += 1
    inner *= x
    inner *= np.float32(0.5)
    return inner


def _divide(x: Array, y: Array) -> Array:
    """Of integers that are not negative, the whole part."""
    return x // y if np.issubdtype(x.dtype, np.integer) else x / y


def _reduce_sum(x: Array, axes: Array, *, keepdims: int = 1) -> Array:
    return np.sum(x, tuple(int(axis) for axis in axes), x.dtype, keepdims=bool(keepdims))


def _softmax(x: Array, *, axis: int = -1) -> Array:
    result: Array = np.exp(x - np.max(x, axis, keepdims=True))
    result /= np.sum(result, axis, keepdims=True)
    return result


def _top_k(
    x: Array, count: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[Array, Array]:
    """The largest or smallest and their places, in order, the first of equals first."""
    keys = -x if largest else x
    places = np.argsort(keys, axis, kind="stable")
    places = np.take(places, np.arange(int(count[0])), axis)
    return np.take_along_axis(x, places, axis), places


def _rms_norm(x: Array, scale: Array, *, axis: int, epsilon: float) -> Array:
    mean_square = np.mean(x * x, axis=axis, keepdims=True)
    normed: Array = x / np.sqrt(mean_square + np.float32(epsilon))
    normed *= scale
    return normed


def _layer_norm(
    x: Array, scale: Array, bias: Array | None = None, *, axis: int, epsilon: float
) -> Array:
    centred: Array = x - np.mean(x, axis=axis, keepdims=True)
    variance = np.mean(centred * centred, axis=axis, keepdims=True)
    centred /= np.sqrt(variance + np.float32(epsilon))
    centred *= scale
    if bias is not None:
        centred += bias
    return centred


def _rotary(
    x: Array, cos: Array, sin: Array, *, interleaved: int = 0, rotary_embedding_dim: int = 0
) -> Array:
    """Pairs of ``x [B, H, S, D]``, or of its first elements, turned by the angles of ``cos, sin
    [B, S, D/2]``: its halves, or elements in turn.
    """
    size = rotary_embedding_dim or x.shape[-1]
    half = size // 2
    first = slice(0, size, 2) if interleaved else slice(0, half)
    second = slice(1, size, 2) if interleaved else slice(half, size)
    left, right = x[..., first], x[..., second]
    cos, sin = cos[:, None], sin[:, None]
    turned: Array = x.copy()
    turned[..., first] = left * cos - right * sin
    turned[..., second] = right * cos + left * sin
    return turned


OPERATORS: Mapping[str, Operator] = {
    **MORE,
    "Add": np.add,
    "And": np.logical_and,
    "Attention": attention,
    "Cast": _cast,
    "Concat": _concat,
    "Cos": np.cos,
    "Div": _divide,
    "Equal": np.equal,
    "Gather": _gather,
    "Gelu": _gelu,
    "Greater": np.greater,
    "LayerNormalization": _layer_norm,
    "LessOrEqual": np.less_equal,
    "MatMul": np.matmul,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Or": np.logical_or,
    "Pad": _pad,
    "RMSNormalization": _rms_norm,
    "Range": _range,
    "ReduceSum": _reduce_sum,
    "Reshape": _reshape,
    "RotaryEmbedding": _rotary,
    "Shape": _shape,
    "Sigmoid": _sigmoid,
    "Sin": np.sin,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": np.subtract,
    "TopK": _top_k,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": np.where,
}
"""By their names in the standard; attributes are keyword arguments."""


def operator_of(node: ir.Node) -> Callable[..., tuple[Array, ...]]:
    """What computes the outputs of a node from its inputs (None where one is left out).

    Raises:
        UnsupportedError: There is no entry for the operator, or an attribute is unknown to it.
    """
    function = OPERATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if function is None:
        raise _unsupported(node, f"the operator {node.op_type}")
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    unknown = sorted(attributes.keys() - _attribute_names(function))
    if unknown:
        raise _unsupported(node, f"the attribute {unknown[0]} of {node.op_type}")
    if node.op_type == "Attention" and len(node.outputs) > SCORES and sink_of(node) is None:
        raise _unsupported(node, "Attention that gives its scores")

    def run(*inputs: Array | None) -> tuple[Array, ...]:
        result = function(*inputs, **attributes)
        return result if isinstance(result, tuple) else (result,)

    return run


def _attribute_names(function: Operator) -> set[str]:
    if isinstance(function, np.ufunc) or function is np.where:
        return set()
    parameters = inspect.signature(function).parameters.values()
    return {each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}


def _unsupported(node: ir.Node, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"calibration cannot run {what}",
        expected=f"one of {', '.join(OPERATORS)}",
        found=f"node {node.name!r}",
        remedy="add it to passes/calibration/operators.py",
    )
