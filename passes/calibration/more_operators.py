"""Operators that graphs of transformers' own classes have beside the usual ones, in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_erf = np.vectorize(math.erf, otypes=[np.float32])


def _axes(axes: Array | None, x: Array) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axes is None else tuple(int(axis) for axis in axes)


def _reduced(function: Callable[..., Array]) -> Callable[..., Array]:
    def reduce(x: Array, axes: Array | None = None, *, keepdims: int = 1) -> Array:
        return function(x, axis=_axes(axes, x), keepdims=bool(keepdims))

    return reduce


def _log_sum_exp(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    most = x.max(axis=axis, keepdims=True)
    total = np.log(np.exp(x - most).sum(axis=axis, keepdims=True)) + most
    return np.asarray(total if keepdims else np.squeeze(total, axis))


def _length(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    return np.asarray(np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)))


def _slice(
    x: Array, start: Array, stop: Array, axes: Array | None = None, steps: Array | None = None
) -> Array:
    places = range(len(start)) if axes is None else axes
    cut = [slice(None)] * x.ndim
    strides = np.ones(len(start), np.int64) if steps is None else steps
    for begin, end, axis, step in zip(start, stop, places, strides, strict=True):
        cut[int(axis)] = slice(int(begin), int(end), int(step))
    return np.asarray(x[tuple(cut)])


def _expand(x: Array, shape: Array) -> Array:
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(int(size) for size in shape)))


def _gather_elements(x: Array, indices: Array, *, axis: int = 0) -> Array:
    return np.take_along_axis(x, indices, axis)


def _gather_nd(x: Array, indices: Array) -> Array:
    return np.asarray(x[tuple(np.moveaxis(indices, -1, 0))])


def _scatter_elements(
    x: Array, indices: Array, values: Array, *, axis: int = 0, reduction: str = "none"
) -> Array:
    found: Array = x.copy()
    places: list[Array] = [*np.indices(indices.shape)]
    places[axis] = indices
    _written(found, tuple(places), values, reduction)
    return found


def _scatter_nd(x: Array, indices: Array, values: Array, *, reduction: str = "none") -> Array:
    found: Array = x.copy()
    _written(found, tuple(np.moveaxis(indices, -1, 0)), values, reduction)
    return found


def _written(x: Array, places: tuple[Array, ...], values: Array, reduction: str) -> None:
    if reduction == "none":
        x[places] = values
        return
    reduce = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction]
    reduce.at(x, places, values)


def _cumulative_sum(x: Array, axis: Array) -> Array:
    return np.cumsum(x, int(axis), dtype=x.dtype)


def _modulo(x: Array, y: Array, *, fmod: int = 0) -> Array:
    return np.asarray(np.fmod(x, y) if fmod else np.mod(x, y))


def _power(x: Array, y: Array) -> Array:
    return np.power(x, y).astype(x.dtype, copy=False)


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, np.zeros((), x.dtype))


def _hard_swish(x: Array) -> Array:
    return np.asarray(x * np.clip(x / 6 + np.float32(0.5), 0, 1))


def _leaky_relu(x: Array, *, alpha: float = 0.01) -> Array:
    return np.where(x < 0, np.float32(alpha) * x, x)


def _elu(x: Array, *, alpha: float = 1.0) -> Array:
    return np.where(x < 0, np.float32(alpha) * np.expm1(np.minimum(x, 0)), x)


def _log_softmax(x: Array, *, axis: int = -1) -> Array:
    return np.asarray(x - _log_sum_exp(x, axis=(axis,), keepdims=True))


def _triangle(x: Array, diagonal: Array | None = None, *, upper: int = 1) -> Array:
    cut = np.triu if upper else np.tril
    return np.asarray(cut(x, 0 if diagonal is None else int(diagonal)))


def _einsum(*parts: Array, equation: str) -> Array:
    return np.asarray(np.einsum(equation, *parts))


MORE: Mapping[str, Callable[..., Array]] = {
    "Abs": np.abs,
    "Ceil": np.ceil,
    "CumSum": _cumulative_sum,
    "Einsum": _einsum,
    "Elu": _elu,
    "Erf": _erf,
    "Exp": np.exp,
    "Expand": _expand,
    "Floor": np.floor,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "GreaterOrEqual": np.greater_equal,
    "HardSwish": _hard_swish,
    "Identity": np.positive,
    "LeakyRelu": _leaky_relu,
    "Less": np.less,
    "Log": np.log,
    "LogSoftmax": _log_softmax,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mish": lambda x: x * np.tanh(_softplus(x)),
    "Mod": _modulo,
    "Not": np.logical_not,
    "Pow": _power,
    "Reciprocal": np.reciprocal,
    "ReduceL2": _reduced(_length),
    "ReduceLogSumExp": _reduced(_log_sum_exp),
    "ReduceMax": _reduced(np.max),
    "ReduceMean": _reduced(np.mean),
    "ReduceMin": _reduced(np.min),
    "Relu": lambda x: np.maximum(x, np.zeros((), x.dtype)),
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Sign": np.sign,
    "Softplus": _softplus,
    "Slice": _slice,
    "Sqrt": np.sqrt,
    "Tanh": np.tanh,
    "Tile": lambda x, times: np.tile(x, tuple(int(each) for each in times)),
    "Trilu": _triangle,
}
"""By their names in the standard; attributes are keyword arguments."""
