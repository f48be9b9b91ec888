"""Batches of texts run apart: each on its own through the model, and what was seen put together.

A batch is what `execution.run` multiplies at once, whoever runs it, so that what observers see of
it is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from passes.calibration import execution
from passes.calibration.execution import Advance, Execution, Feed
from passes.calibration.held import Text
from passes.calibration.observers import Observer
from passes.calibration.products import Product
from passes.calibration.snapshots import Arrays, below, joined, within
from passes.calibration.steps import Step, plan

State = dict[str, NDArray[Any]]
"""What observers have seen, for another process."""


@dataclass(frozen=True)
class Batch:
    """Some of the texts.

    Args:
        number: Counted from 0.
        texts: Tokens of each.
    """

    number: int
    texts: tuple[Text, ...]

    @property
    def tokens(self) -> int:
        """How many there are."""
        return sum(map(len, self.texts))


def separate_batches(model: ir.Model, texts: Sequence[Text]) -> tuple[Batch, ...]:
    """The batches of texts, if they can be run apart: one of all texts otherwise.

    They cannot where a weight is multiplied with what depends on how long texts are, not on what
    they say: that is done once for all of them.
    """
    apart = all(step.by_text for step in plan(model, logits=False).steps if step.weight is not None)
    ranges = execution.batches(texts, execution.BATCH_TOKENS) if apart else [range(len(texts))]
    return tuple(
        Batch(number, tuple(texts[text] for text in each)) for number, each in enumerate(ranges)
    )


def run_batch(
    model: ir.Model,
    batch: Batch,
    observers: Sequence[Observer],
    advance: Advance = lambda count: None,
) -> None:
    """Show observers what `execution.run` would show them of one batch.

    Weights themselves are seen with the first batch only, as all others have the same.

    Args:
        model: The float graph of an architecture, without a cache.
        batch: One of `separate_batches`.
        advance: Told the bytes of weights that were just done with.

    Raises:
        TricastError: As `execution.run` does.
    """
    kind = Execution if batch.number == 0 else _NoWeights
    # As many tokens as there are: one batch, which is run as one of several would be.
    made = kind(model, batch.texts, observers, logits=False, batch_tokens=batch.tokens)
    made.run(advance)


def state_of(observers: Sequence[Observer]) -> State:
    """What observers have seen, for `merge_states`."""
    states = [below(str(number), observer.to_arrays()) for number, observer in enumerate(observers)]
    return {name: np.asarray(array, order="C") for name, array in joined(*states).items()}


def merge_states(observers: Sequence[Observer], states: Mapping[int, Arrays]) -> None:
    """Let observers have seen all batches.

    Args:
        observers: New ones, of the same kinds.
        states: By number of the batch, in whatever order they came: they are put together in the
            order of batches, in which sums are the same to the last bit.
    """
    for batch in sorted(states):
        for number, observer in enumerate(observers):
            observer.merge(of_observer(number, states[batch]))


def of_observer(number: int, state: Arrays) -> Arrays:
    """What one of several observers has seen."""
    return within(str(number), state)


class _NoWeights(Execution):
    """Shows observers no weight, and does not read one that only they would need."""

    def _feeds(self, step: Step) -> int:
        return super()._feeds(step) if step.computes else 0

    def _multiply_batch(
        self,
        step: Step,
        texts: Sequence[int],
        product: Product,
        watching: Sequence[Observer],
        feed: Feed,
    ) -> None:
        if step.computes:
            super()._multiply_batch(step, texts, product, (), feed)
