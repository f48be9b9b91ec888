"""What 8-bit inputs need to know of a model: their ranges, and what smooths them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from convert.errors import UnsupportedError
from convert.graph import expert_splits
from convert.weights import Floats
from passes.calibration.batch_runs import of_observer
from passes.calibration.execution import run
from passes.calibration.held import Text
from passes.calibration.observers import InputRange
from passes.calibration.snapshots import Arrays
from passes.calibration.steps import plan
from passes.smoothing.fitting import best_fit
from passes.smoothing.groups import Group
from passes.smoothing.halves import Halved
from passes.smoothing.scaling import divisors


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
    require_no_experts(model)
    watching = _Watching(model, alphas)
    run(model, texts, (watching,), advance, scratch=scratch)
    found = watching.plain, watching.errors, watching.smoothed
    return Measured(*found, text_sha256, sum(map(len, texts)))


def require_no_experts(model: ir.Model) -> None:
    """Refuse a model that cannot be measured.

    Raises:
        UnsupportedError: It has experts.
    """
    for node in expert_splits(model):
        raise UnsupportedError(
            "what experts read is not measured: some may see no token of a text",
            found=f"a mixture of experts, {node.name}",
            remedy="choose an encoding of weights alone, which needs no ranges of inputs",
        )


def measured_apart(
    model: ir.Model,
    texts: Sequence[Text],
    alphas: Sequence[float],
    states: Mapping[int, Arrays],
    text_sha256: str = "",
) -> Measured:
    """What `measure` would find, of what `Halved` observers have seen of batches of the texts.

    Args:
        states: By number of the batch, see `batch_runs.state_of`; an array is asked for when it is
            needed, so that only those of a group are held.
    """
    watching = _Watching(model, alphas)
    left = {group.name: len(group.weights) for group in watching.groups}
    for weight in plan(model, logits=False).weights:
        group = watching.group_of(weight.name)
        left[group.name] -= 1
        if not left[group.name]:  # where a run would come to the end of it
            for batch in sorted(states):
                watching.merge_group(group, of_observer(0, states[batch]))
            watching.settle(group)
    found = watching.plain, watching.errors, watching.smoothed
    return Measured(*found, text_sha256, sum(map(len, texts)))


class _Watching(Halved):
    """Finds what is best for each group as soon as all of it was seen."""

    def __init__(self, model: ir.Model, alphas: Sequence[float]) -> None:
        super().__init__(model)
        self.plain: dict[str, InputRange] = {}
        self.errors: dict[str, float] = {}
        self.smoothed: dict[str, Smoothed] = {}
        self._alphas = alphas

    def passed(self, group: Group) -> None:
        self.settle(group)

    def settle(self, group: Group) -> None:
        """Find what is best, and forget what was seen."""
        seen = self.seen.pop(group.name)
        halves = seen.halves
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
