"""What an MLP's activation is, found by computing it and comparing with those that are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.importing.raising.patterns import rank_of
from targets.gguf.imported.evaluating import evaluated
from targets.gguf.imported.linears import Linear, sources

Floats = NDArray[np.float64]
_CLOSE = 1e-5
_LARGEST = 6.0


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


def _gelu(x: Floats) -> Floats:
    return np.array([each / 2 * (1 + math.erf(each / math.sqrt(2))) for each in x])


def _gelu_tanh(x: Floats) -> Floats:
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return np.asarray(x / 2 * (1 + np.tanh(inner)))


KNOWN: Mapping[str, Callable[[Floats], Floats]] = {
    "silu": lambda x: x * _sigmoid(x),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "gelu_quick": lambda x: x * _sigmoid(1.702 * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu_squared": lambda x: np.maximum(x, 0) ** 2,
}


@dataclass(frozen=True)
class Activation:
    """Between the linear layers of an MLP.

    Args:
        name: One of `KNOWN`, or what stands for another.
        gate: The layer that the activation sits on, if there is another that it multiplies.
        second_half: Whether one layer holds both, that with the activation below.
    """

    name: str
    gate: Linear | None = None
    second_half: bool = False


def activation(down: Linear, by_output: Mapping[ir.Value, Linear]) -> Activation:
    """What is computed of the layers that the last layer of an MLP reads.

    Raises:
        NotComputableError: It depends on weights of its own.
    """
    found = list(sources(down.x, by_output).values())
    if len(found) == 1:
        return _of_one(down.x, found[0])
    if len(found) == 2:
        for gate, up in (found, found[::-1]):
            x, one = _numbers(gate.rows), np.ones(up.rows)
            name = _name(x, _computed(down.x, {gate: x, up: one}))
            if name is not None and _multiplies(down.x, gate, up):
                return Activation(name, gate)
    return Activation(f"one of {len(found)} layers")


def _of_one(value: ir.Value, layer: Linear) -> Activation:
    x = _numbers(layer.rows)
    y = _computed(value, {layer: x})
    if len(y) == layer.rows:
        return Activation(_name(x, y) or "an unknown one")
    if 2 * len(y) != layer.rows:
        return Activation("one of another width")
    x, one = _numbers(len(y)), np.ones(len(y))
    for second_half in (False, True):
        parts = (one, x) if second_half else (x, one)
        name = _name(x, _computed(value, {layer: np.concatenate(parts)}))
        if name is not None:
            return Activation(name, layer, second_half)
    return Activation("an unknown one")


def _multiplies(value: ir.Value, gate: Linear, up: Linear) -> bool:
    x = _numbers(up.rows)
    found = _computed(value, {gate: np.ones(gate.rows), up: x})
    return bool(np.allclose(found, x * (found[-1] / x[-1]), atol=_CLOSE))


def _numbers(count: int) -> Floats:
    return np.linspace(-_LARGEST, _LARGEST, count)


def _computed(value: ir.Value, given: Mapping[Linear, Floats]) -> Floats:
    arrays = {
        layer.y: x.astype(np.float32).reshape(*[1] * (rank_of(layer.y) - 1), -1)
        for layer, x in given.items()
    }
    return evaluated(value, arrays).reshape(-1).astype(np.float64)


def _name(x: Floats, y: Floats) -> str | None:
    if len(x) != len(y):
        return None
    fitting = {name: float(np.abs(f(x) - y).max()) for name, f in KNOWN.items()}
    best = min(fitting, key=lambda name: fitting[name])
    return best if fitting[best] < _CLOSE * max(1.0, float(np.abs(y).max())) else None
