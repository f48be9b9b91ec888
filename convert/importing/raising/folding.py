"""What an operator of constants gives, for the operators that tables are made with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

Array = NDArray[Any]

_LARGEST = 1 << 22
"""Elements of a result that is stored rather than computed when the model runs."""


def folded(node: ir.Node, arrays: Sequence[Array]) -> Array | None:
    """The result of a node with one output, if the operator is known; of the output's type."""
    compute = _KNOWN.get(node.op_type) if node.domain == "" else None
    if compute is None:
        return None
    attributes = {key: item.value for key, item in node.attributes.items()}
    found = np.asarray(compute(attributes, *arrays))
    dtype = node.outputs[0].dtype
    if found.size > _LARGEST or dtype is None:
        return None
    return found.astype(dtype.numpy(), copy=False)


def _slice(_: Any, x: Array, start: Array, stop: Array, axes: Array, step: Array) -> Array:
    cut = [slice(None)] * x.ndim
    for begin, end, axis, by in zip(start, stop, axes, step, strict=True):
        cut[int(axis)] = slice(int(begin), int(end), int(by))
    return x[tuple(cut)]


def _reshape(attributes: Any, x: Array, shape: Array) -> Array:
    sizes = [int(size) for size in shape]
    if not attributes.get("allowzero"):
        sizes = [x.shape[place] if size == 0 else size for place, size in enumerate(sizes)]
    return x.reshape(sizes)


def _unsqueeze(_: Any, x: Array, axes: Array) -> Array:
    return np.expand_dims(x, tuple(int(axis) for axis in axes))


def _squeeze(_: Any, x: Array, axes: Array) -> Array:
    return np.squeeze(x, tuple(int(axis) for axis in axes))


def _inverse_error_function(_: Any, x: Array) -> Array:
    normal = NormalDist()
    found = [normal.inv_cdf((float(each) + 1) / 2) / math.sqrt(2) for each in x.reshape(-1)]
    return np.array(found, np.float64).reshape(x.shape)


def _divide(_: Any, x: Array, y: Array) -> Array:
    return np.asarray(x / y if x.dtype.kind == "f" else x // y)


def _expand(_: Any, x: Array, shape: Array) -> Array:
    return np.array(x * np.ones([int(size) for size in shape], x.dtype))


_KNOWN: Mapping[str, Callable[..., Any]] = {
    "Add": lambda _, x, y: x + y,
    "Cast": lambda _, x: x,
    "Concat": lambda attributes, *parts: np.concatenate(parts, attributes["axis"]),
    "Cos": lambda _, x: np.cos(x),
    "Div": _divide,
    "Equal": lambda _, x, y: x == y,
    "Erfinv": _inverse_error_function,
    "Exp": lambda _, x: np.exp(x),
    "Expand": _expand,
    "Gather": lambda attributes, x, rows: np.take(x, rows, attributes.get("axis", 0)),
    "Greater": lambda _, x, y: x > y,
    "GreaterOrEqual": lambda _, x, y: x >= y,
    "Less": lambda _, x, y: x < y,
    "LessOrEqual": lambda _, x, y: x <= y,
    "Log": lambda _, x: np.log(x),
    "Max": lambda _, x, y: np.maximum(x, y),
    "Min": lambda _, x, y: np.minimum(x, y),
    "Mul": lambda _, x, y: x * y,
    "Neg": lambda _, x: -x,
    "Not": lambda _, x: ~x,
    "Pow": lambda _, x, y: np.power(x, y),
    "Reciprocal": lambda _, x: 1 / x,
    "Reshape": _reshape,
    "Sin": lambda _, x: np.sin(x),
    "Slice": _slice,
    "Sqrt": lambda _, x: np.sqrt(x),
    "Squeeze": _squeeze,
    "Sub": lambda _, x, y: x - y,
    "Tile": lambda _, x, times: np.tile(x, times),
    "Transpose": lambda attributes, x: np.transpose(x, attributes["perm"]),
    "Unsqueeze": _unsqueeze,
    "Where": lambda _, condition, x, y: np.where(condition, x, y),
}
