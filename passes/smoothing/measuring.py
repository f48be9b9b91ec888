"""What 8-bit inputs need to know of a model: their ranges, and what smooths them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from convert.errors import UnsupportedError
from convert.graph import expert_splits, parameters
from convert.weights import Floats
from passes.calibration.execution import run
from passes.calibration.held import Text
from passes.calibration.observers import InputRange, Observer
from passes.smoothing.fitting import Half, best_fit
from passes.smoothing.groups import Group, groups
from passes.smoothing.scaling import divisors

SAMPLE_ROWS = 256
"""Rows of the weights of one layer to measure errors on."""


@dataclass(frozen=True)
class Smoothed:
    """What the inputs of a group of layers become.

    Args:
        alpha: See `passes.smoothing.scaling`.
        divisors: One for each channel, or for those that share one.
        within: The range in which to round what comes of the division.
        error: Of the layers' outputs when inputs and weights are rounded to 8 bits: squared error
            over squared size.
        weights: Names of the layers' weights.
    """

    alpha: float
    divisors: Floats
    within: InputRange
    error: float
    weights: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """What calibration found out about the inputs of linear layers.

    Args:
        plain: The range in which to round each layer's input as it is, by name of the weight.
        errors: What that costs each layer, as `Smoothed.error`, where it is known.
        smoothed: By name of the group, for those whose inputs can be divided.
        text_sha256: Of the calibration text.
        tokens: How many there were.
    """

    plain: Mapping[str, InputRange]
    errors: Mapping[str, float]
    smoothed: Mapping[str, Smoothed]
    text_sha256: str
    tokens: int


def measure(
    model: ir.Model,
    texts: Sequence[Text],
    alphas: Sequence[float],
    advance: Callable[[int], None] = lambda count: None,
    text_sha256: str = "",
    scratch: Path | None = None,
) -> Measured:
    """Run ``model`` over ``texts`` and find how its layers' inputs are best divided and rounded.

    Args:
        model: The float graph of an architecture, without a cache.
        texts: Tokens of each text.
        alphas: To choose from, group by group; none to leave all inputs as they are.
        advance: Told the bytes of weights that were just done with.
        text_sha256: Of the file that the texts were taken from.
        scratch: Folder with room for the values of many texts, see `execution.run`.

    Raises:
        UnsupportedError: The model has experts.
        TricastError: As `passes.calibration.execution.run` does.
    """
    for node in expert_splits(model):
        raise UnsupportedError(
            "what experts read is not measured: some may see no token of a text",
            found=f"a mixture of experts, {node.name}",
            remedy="choose an encoding of weights alone, which needs no ranges of inputs",
        )
    watching = _Watching(model, alphas)
    run(model, texts, (watching,), advance, scratch=scratch)
    found = watching.plain, watching.errors, watching.smoothed
    return Measured(*found, text_sha256, sum(map(len, texts)))


@dataclass
class _Seen:
    """What is held of a group until all its weights have passed."""

    group: Group
    reader: str
    halves: tuple[Half, Half]
    largest: Floats
    sample: list[Floats]
    left: int


class _Watching(Observer):
    def __init__(self, model: ir.Model, alphas: Sequence[float]) -> None:
        self.plain: dict[str, InputRange] = {}
        self.errors: dict[str, float] = {}
        self.smoothed: dict[str, Smoothed] = {}
        self._alphas = alphas
        self._rows = {name: held.weight.rows for name, held in parameters(model).items()}
        self._group_of = {name: group for group in groups(model) for name in group.weights}
        self._seen: dict[str, _Seen] = {}

    def linear(self, weight: str, inputs: Floats) -> None:
        group = self._group_of.get(weight, Group((weight,)))
        seen = self._seen.get(group.name)
        if seen is not None and seen.reader != weight:
            return  # it reads what another one of the group has read
        middle = (len(inputs) + 1) // 2
        halves = (Half.of(inputs[:middle]), Half.of(inputs[-middle:]))
        if seen is None:
            left = sum(self._rows[name] for name in group.weights)
            self._seen[group.name] = _Seen(group, weight, halves, np.float32(0), [], left)
        else:  # the next batch
            first, second = (
                old.and_then(new) for old, new in zip(seen.halves, halves, strict=True)
            )
            seen.halves = first, second

    def weight(self, name: str, start: int, rows: Floats) -> None:
        seen = self._seen[self._group_of.get(name, Group((name,))).name]
        flat = rows.reshape(len(rows), -1)
        if flat.shape[1] == seen.halves[0].low.size:  # a convolution has several taps a channel
            seen.largest = np.maximum(seen.largest, np.maximum(flat.max(0), -flat.min(0)))
            step = -(-self._rows[name] // SAMPLE_ROWS)
            seen.sample.append(flat[-start % step :: step].copy())
        seen.left -= len(rows)
        if not seen.left:
            self._settle(self._seen.pop(seen.group.name))

    def _settle(self, seen: _Seen) -> None:
        group, halves = seen.group, seen.halves
        whole = halves[0].joined(halves[1])
        if not seen.sample:
            self.plain.update(dict.fromkeys(group.weights, whole.within(None)))
            return
        weights = np.concatenate(seen.sample)
        plain = best_fit(halves, weights, seen.largest, None, (None,))
        within = whole.within(None, plain.margin)
        self.plain.update(dict.fromkeys(group.weights, within))
        self.errors.update(dict.fromkeys(group.weights, plain.error))
        if group.fold is None or not self._alphas:
            return
        fit = best_fit(halves, weights, seen.largest, group.fold, self._alphas)
        assert fit.alpha is not None
        chosen = divisors(fit.alpha, whole.magnitudes, seen.largest, group.fold)
        within = whole.within(chosen[group.fold.channels], fit.margin)
        self.smoothed[group.name] = Smoothed(fit.alpha, chosen, within, fit.error, group.weights)
