"""How far to smooth the inputs of some layers, and in which range to round them: tried out.

What is found on one half of the tokens is judged on the other: the largest inputs of any text are
not quite those of another, and the more a layer's channels are made alike, the more of them will
leave a range that just held them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convert.weights import Floats
from passes.calibration.observers import InputRange
from passes.smoothing.groups import Fold
from passes.smoothing.scaling import divisors

MARGINS = (0.5, 0.65, 0.8, 1.0, 1.25)
"""Ranges to try, as multiples of the one that was seen."""

SAMPLE_TOKENS = 128
"""Of each half, to measure errors on."""

_ACTIVATION_STEPS, _WEIGHT_STEPS = np.float32(255), np.float32(127)


@dataclass(frozen=True)
class Half:
    """Half of the tokens that a layer reads.

    Args:
        low: The least input of each channel, ``[features]``.
        high: The largest.
        sample: Some of the inputs, ``[tokens, features]``.
    """

    low: Floats
    high: Floats
    sample: Floats

    @classmethod
    def of(cls, inputs: Floats) -> Half:
        """What is kept of ``inputs [tokens, features]``."""
        chosen = np.linspace(0, len(inputs) - 1, min(len(inputs), SAMPLE_TOKENS)).astype(np.int64)
        return cls(inputs.min(axis=0), inputs.max(axis=0), inputs[chosen])

    @property
    def magnitudes(self) -> Floats:
        """The largest magnitude of each channel."""
        largest: Floats = np.maximum(self.high, -self.low)
        return largest

    def within(self, scales: Floats | None, margin: float = 1.0) -> InputRange:
        """The range of all channels, each divided by its scale."""
        low, high = self.low, self.high
        if scales is not None:
            low, high = low / scales, high / scales
        return InputRange(margin * float(low.min()), margin * float(high.max()))

    def and_then(self, other: Half) -> Half:
        """This one and a part that follows."""
        sample = np.concatenate([self.sample, other.sample])
        kept = Half.of(sample).sample
        return Half(np.minimum(self.low, other.low), np.maximum(self.high, other.high), kept)

    def joined(self, other: Half) -> Half:
        """Both halves; the sample is of no use then."""
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Half(low, high, self.sample[:0])


@dataclass(frozen=True)
class Fit:
    """What was found best.

    Args:
        alpha: None where inputs are left as they are.
        margin: What the range that was seen is multiplied with.
        error: Of the layers' outputs: squared error over squared size, the mean over tokens and
            the ratio of the sums together.
    """

    alpha: float | None
    margin: float
    error: float


def best_fit(
    halves: tuple[Half, Half],
    weights: Floats,
    largest: Floats,
    fold: Fold | None,
    alphas: Sequence[float | None],
) -> Fit:
    """Try every alpha with every margin.

    Args:
        halves: Of the tokens.
        weights: Some rows of the weights of all layers that read the input, ``[n, features]``.
        largest: The largest magnitude of each of their columns, of all rows, ``[features]``.
        fold: What divides the input; None if nothing can.
        alphas: None stands for inputs as they are.
    """
    errors = {(alpha, margin): 0.0 for alpha in alphas for margin in MARGINS}
    for known, tried in (halves, halves[::-1]):
        for alpha in alphas:
            scales = None
            if alpha is not None and fold is not None:
                scales = divisors(alpha, known.magnitudes, largest, fold)[fold.channels]
            found = _errors(known, tried.sample, weights, scales)
            for margin, error in zip(MARGINS, found, strict=True):
                errors[alpha, margin] += error / 2
    alpha, margin = min(errors, key=lambda choice: errors[choice])
    return Fit(alpha, margin, errors[alpha, margin])


def _errors(known: Half, inputs: Floats, weights: Floats, scales: Floats | None) -> list[float]:
    """The error of every margin."""
    exact = inputs @ weights.T
    if scales is not None:
        inputs, weights = inputs / scales, weights * scales
    rounded_weights = _rounded_rows(weights)
    sizes = np.einsum("to,to->t", exact, exact)
    total = sizes.sum() or 1
    # A token with a tiny output counts no more than others: what follows adds it to larger things.
    sizes = np.maximum(sizes, np.median(sizes))
    sizes[sizes == 0] = 1
    found = []
    for margin in MARGINS:
        off = rounded_inputs(inputs, known.within(scales, margin)) @ rounded_weights.T
        off -= exact
        errors = np.einsum("to,to->t", off, off)
        # Few tokens have huge outputs, and all others attend to these: they count once more.
        found.append(float(np.mean(errors / sizes) + errors.sum() / total))
    return found


def rounded_inputs(inputs: Floats, within: InputRange) -> Floats:
    """To the nearest of 256 levels, zero among them; beyond them, to the last."""
    low, high = min(within.low, 0.0), max(within.high, 0.0)
    step = np.float32((high - low) / _ACTIVATION_STEPS or 1.0)
    below = np.rint(np.float32(-low) / step)
    levels = np.clip(np.rint(inputs / step), -below, _ACTIVATION_STEPS - below)
    rounded: Floats = levels * step
    return rounded


def _rounded_rows(weights: Floats) -> Floats:
    step = np.abs(weights).max(axis=1, keepdims=True) / _WEIGHT_STEPS
    step[step == 0] = 1
    rounded: Floats = np.rint(weights / step) * step
    return rounded
