"""Finds what to divide the inputs of linear layers by, so that their stored weights do least harm.

A channel's weights are multiplied with ``s_j = |X_j|^a / |W_j|^b``, mean magnitudes both: columns
that much comes in by take up more of the range that a scale spans, and lose less to rounding, at
the expense of the others. With b = 0 this is AWQ (arXiv 2306.00978) in its first form, with
b = 1 - a the one that its authors' program has. Powers are tried out, group by group, by the error
of the layers' outputs, with the very encoding that the weights will have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.graph import parameters
from convert.weights import Floats
from passes.calibration.execution import run
from passes.calibration.held import Text
from passes.calibration.observers import Observer
from passes.encodings.base import ROW_ALIGNMENT
from passes.encodings.weighting import WeightableEncoding
from passes.smoothing.division import divisible
from passes.smoothing.groups import Fold, Group

POWERS: tuple[tuple[float, float], ...] = (
    *((step / 10, 0.0) for step in range(7)),
    *((step / 10, 1 - step / 10) for step in range(1, 6)),
)
"""Pairs (a, b) to try; the first leaves inputs as they are."""

SAMPLE_ROWS = 256
"""Rows of the weights of one layer to measure errors on."""

SAMPLE_TOKENS = 1024
"""To measure them with."""

FLOOR = 1e-3
"""Magnitudes below this share of the mean count as that: what is still in one text need not be in
another."""

LARGEST = 2.0**12
"""Of a divisor, and of its reciprocal: float16 scales have room for no more."""

Pair = tuple[float, float]


@dataclass(frozen=True)
class Balance:
    """What was found best for a group of layers.

    Args:
        powers: a and b.
        divisors: One for each channel, or for those that share one, float32.
        error: Of the layers' outputs: squared error over squared size.
        error_before: The same where inputs are left as they are.
    """

    powers: Pair
    divisors: Floats
    error: float
    error_before: float


@dataclass(frozen=True)
class Layer:
    """Some rows of a weight, ``[n, features]``, and how it will be stored."""

    rows: Floats
    encoding: WeightableEncoding


def balances(
    model: ir.Model,
    texts: Sequence[Text],
    encodings: Mapping[str, WeightableEncoding],
    advance: Callable[[int], None] = lambda count: None,
) -> dict[str, Balance]:
    """Run ``model`` over ``texts`` and find the best divisors, by name of the group.

    Every weight is read once; of each group some rows and inputs are held until its last weight
    has passed.

    Args:
        model: The float graph of an architecture, without a cache.
        texts: Tokens of each text.
        encodings: Of the weights that count, by name.
        advance: Told the bytes of weights that were just done with.

    Raises:
        TricastError: As `passes.calibration.execution.run` does.
    """
    watching = _Watching(model, encodings)
    run(model, texts, (watching,), advance)
    return watching.found


def best_balance(inputs: Floats, layers: Sequence[Layer], fold: Fold) -> Balance:
    """Try all powers.

    Args:
        inputs: Of all the layers, ``[tokens, features]``.
        layers: That read them.
        fold: What divides them.
    """
    moments = np.einsum("tf,tf->f", inputs, inputs, dtype=np.float64) / len(inputs)
    x = np.abs(inputs).mean(axis=0, dtype=np.float64)
    w = np.mean([np.abs(layer.rows).mean(axis=0, dtype=np.float64) for layer in layers], axis=0)
    products = [inputs @ layer.rows.T for layer in layers]
    size = sum(float(np.vdot(each, each)) for each in products) or 1.0
    chosen: list[tuple[float, Pair, Floats]] = []
    for powers in POWERS:
        divisors = _divisors(powers, x, w, fold)
        scales = divisors[fold.channels]
        error = sum(_error(inputs, layer, scales, moments) for layer in layers) / size
        chosen.append((error, powers, divisors))
    error, powers, divisors = min(chosen, key=lambda each: each[0])
    return Balance(powers, divisors, error, chosen[0][0])


def _divisors(
    powers: Pair, inputs: NDArray[np.float64], weights: NDArray[np.float64], fold: Fold
) -> Floats:
    x, w = (_floored(_shared(each, fold)) for each in (inputs, weights))
    logarithms = powers[0] * np.log(x) - powers[1] * np.log(w)
    middle = (logarithms.max() + logarithms.min()) / 2
    found: Floats = np.clip(np.exp(logarithms - middle), 1 / LARGEST, LARGEST).astype(np.float32)
    return found


def _shared(magnitudes: NDArray[np.float64], fold: Fold) -> NDArray[np.float64]:
    """The mean of the channels that share a divisor."""
    sums = np.bincount(fold.channels, magnitudes, fold.divisors)
    counts = np.bincount(fold.channels, minlength=fold.divisors)
    mean: NDArray[np.float64] = sums / np.maximum(counts, 1)
    return mean


def _floored(magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    floor = FLOOR * magnitudes.mean() or 1.0
    raised: NDArray[np.float64] = np.maximum(magnitudes, floor)
    return raised


def _error(inputs: Floats, layer: Layer, scales: Floats, moments: NDArray[np.float64]) -> float:
    """Squared error of what a layer makes of ``inputs``."""
    scaled = layer.rows * scales
    encoding = layer.encoding.weighted(moments / scales.astype(np.float64) ** 2)
    off = encoding.decode(encoding.encode(scaled), *scaled.shape) / scales - layer.rows
    outputs = inputs @ off.T
    return float(np.vdot(outputs, outputs))


@dataclass
class _Seen:
    """What is held of a group until all its weights have passed."""

    group: Group
    fold: Fold
    inputs: Floats
    rows: dict[str, list[Floats]]
    left: int


class _Watching(Observer):
    def __init__(self, model: ir.Model, encodings: Mapping[str, WeightableEncoding]) -> None:
        self.found: dict[str, Balance] = {}
        self._encodings = encodings
        self._rows = {name: held.weight.rows for name, held in parameters(model).items()}
        self._group_of = {
            name: (group, fold)
            for group, fold in divisible(model, encodings)
            for name in group.weights
        }
        self._seen: dict[str, _Seen] = {}

    def linear(self, weight: str, inputs: Floats) -> None:
        if weight not in self._group_of:
            return
        group, fold = self._group_of[weight]
        if group.name not in self._seen:
            count = min(len(inputs), SAMPLE_TOKENS)
            sample = inputs[np.linspace(0, len(inputs) - 1, count).astype(np.int64)]
            left = sum(self._rows[name] for name in group.weights)
            self._seen[group.name] = _Seen(group, fold, sample, {}, left)

    def weight(self, name: str, start: int, rows: Floats) -> None:
        if name not in self._group_of:
            return
        seen = self._seen[self._group_of[name][0].name]
        step = -(-self._rows[name] // SAMPLE_ROWS)
        seen.rows.setdefault(name, []).append(rows[-start % step :: step].copy())
        seen.left -= len(rows)
        if not seen.left:
            self._settle(self._seen.pop(seen.group.name))

    def _settle(self, seen: _Seen) -> None:
        layers = []
        for name, parts in seen.rows.items():
            rows = np.concatenate(parts)
            whole = max(len(rows) // ROW_ALIGNMENT * ROW_ALIGNMENT, 1)
            layers.append(Layer(np.ascontiguousarray(rows[:whole]), self._encodings[name]))
        self.found[seen.group.name] = best_balance(seen.inputs, layers, seen.fold)
