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
_CLOSE = 2e-6
_LARGEST = 9.0
"""Beyond the limits that some activations have."""


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


def _times(function: Callable[[Floats], Floats]) -> Callable[[Floats, Floats], Floats]:
    return lambda gate, up: function(gate) * up


def _clamped(gate: Floats, up: Floats) -> Floats:
    """``swiglu_oai`` of ggml, with the numbers that llama.cpp gives it."""
    limited = np.minimum(gate, 7)
    return np.asarray(limited * _sigmoid(1.702 * limited) * (np.clip(up, -7, 7) + 1))


GATED: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    **{name: _times(function) for name, function in KNOWN.items()},
    "swiglu_oai": _clamped,
}
"""Of what is gated and what gates it, by name."""


@dataclass(frozen=True)
class Rows:
    """Every ``step``-th row of a layer that holds two, from the one numbered ``first`` on."""

    first: int
    step: int = 1

    def indices(self, total: int) -> NDArray[np.int64]:
        """Their numbers, half of all there are."""
        return self.first + self.step * np.arange(total // 2, dtype=np.int64)


@dataclass(frozen=True)
class Activation:
    """Between the linear layers of an MLP.

    Args:
        name: One of `KNOWN` or `GATED`, or what stands for another.
        gate: The layer that the activation sits on, if there is another that it multiplies.
        gate_rows: Where one layer holds both: those that the activation sits on.
        up_rows: Those that are multiplied.
    """

    name: str
    gate: Linear | None = None
    gate_rows: Rows | None = None
    up_rows: Rows | None = None


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
            x, others = _numbers(gate.rows), _others(up.rows)
            name = _name(GATED, (x, others), _computed(down.x, {gate: x, up: others}))
            if name is not None:
                return Activation(name, gate)
    return Activation(f"one of {len(found)} layers")


def _of_one(value: ir.Value, layer: Linear) -> Activation:
    x = _numbers(layer.rows)
    y = _computed(value, {layer: x})
    if len(y) == layer.rows:
        return Activation(_name(KNOWN, (x,), y) or "an unknown one")
    count = len(y)
    if 2 * count != layer.rows:
        return Activation("one of another width")
    halves, in_turn = (Rows(0), Rows(count)), (Rows(0, 2), Rows(1, 2))
    for gates, ups in (halves, halves[::-1], in_turn, in_turn[::-1]):
        x, others = _numbers(count), _others(count)
        both = np.empty(layer.rows)
        both[gates.indices(layer.rows)], both[ups.indices(layer.rows)] = x, others
        name = _name(GATED, (x, others), _computed(value, {layer: both}))
        if name is not None:
            return Activation(name, layer, gates, ups)
    return Activation("an unknown one")


def _numbers(count: int) -> Floats:
    return np.linspace(-_LARGEST, _LARGEST, count)


def _others(count: int) -> Floats:
    """As many numbers of the same kind in another order."""
    return np.random.default_rng(0).permutation(_numbers(count))


def _computed(value: ir.Value, given: Mapping[Linear, Floats]) -> Floats:
    arrays = {
        layer.y: x.astype(np.float32).reshape(*[1] * (rank_of(layer.y) - 1), -1)
        for layer, x in given.items()
    }
    return evaluated(value, arrays).reshape(-1).astype(np.float64)


def _name(
    known: Mapping[str, Callable[..., Floats]], given: tuple[Floats, ...], y: Floats
) -> str | None:
    if len(given[0]) != len(y):
        return None
    fitting = {name: float(np.abs(f(*given) - y).max()) for name, f in known.items()}
    best = min(fitting, key=lambda name: fitting[name])
    return best if fitting[best] < _CLOSE * max(1.0, float(np.abs(y).max())) else None
