"""Runs a graph over texts by weights whose rows come as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import local

import numpy as np
import onnx_ir as ir

from convert.weights import Floats, Weight
from passes.calibration.execution import Execution
from passes.calibration.held import Text
from passes.calibration.observers import Observer
from passes.calibration.products import Intake, Product
from passes.calibration.reading import Take
from passes.calibration.steps import Step, reads, weights_first
from passes.calibration.stored_products import (
    Bits,
    TiledProduct,
    WidenedProduct,
    split,
    suits_tiles,
)

FeedAhead = Callable[[Step, Take], Callable[[], None]]
"""As `execution.Feed`, but it only asks for the rows; what it returns waits for them."""


class StoredExecution(Execution):
    """Runs a graph on blocks whose values are as they are stored; no observer looks at them."""

    def __init__(
        self, model: ir.Model, texts: Sequence[Text], observers: Sequence[Observer]
    ) -> None:
        super().__init__(model, texts, observers, logits=False)
        self._plan = replace(self._plan, steps=weights_first(self._plan.steps))
        self._rests = self._plan.rests
        self._memory = local()
        self._split: tuple[Sequence[Floats], Bits] = ((), np.empty(0, np.uint32))
        """The newest inputs, and what `split` made of them: several layers may have the same."""

    def linear(self, weight: Weight, inputs: Sequence[Floats]) -> Product:
        if not suits_tiles(weight) or not any(each.size for each in inputs):
            return WidenedProduct(weight, inputs, self._memory)
        product = TiledProduct(weight, inputs)
        if not _same(self._split[0], inputs):
            self._split = (inputs, split(product.tokens))
        product.inputs = self._split[1]
        return product

    def run_ahead(self, feed: FeedAhead, rest: Callable[[], None]) -> None:
        """As `run_fed`, but the rows of weights whose inputs are there are asked for together."""
        while self.done < len(self._plan.steps):
            together = self._together()
            for step in together:
                self.before(step)
            if together[0].weight is None:
                self._compute(together)
            else:
                for end in [self._begin(step, feed) for step in together]:
                    end()
            self.done += len(together)
            if self.done in self._rests:
                self.held.settle()
                rest()

    def _together(self) -> list[Step]:
        """The next step; if it is a weight's, those of other weights that need not wait for it."""
        found: list[Step] = []
        for step in self._plan.steps[self.done :]:
            if found and (
                step.weight is None
                or found[0].weight is None
                or any(reads(step, earlier) for earlier in found)
            ):
                break
            found.append(step)
        return found

    def _begin(self, step: Step, feed: FeedAhead) -> Callable[[], None]:
        """Ask for a weight's rows; what it returns waits for them."""
        [texts] = self._batches_of(step)
        assert step.weight is not None
        product = self._product(step, texts)
        for observer in self._observers:
            observer.linear(step.weight.name, product.tokens)
        [ending] = self.held.ending([step])
        for text in texts:
            self.held.drop(ending, text)
        self._release(step)
        if step.computes:
            product.prepare()
        wait = feed(step, Intake(product if step.computes else None, []))

        def end() -> None:
            wait()
            if step.computes:
                self._put_products(step, texts, product.outputs())

        return end


def _same(some: Sequence[Floats], others: Sequence[Floats]) -> bool:
    return list(map(id, some)) == list(map(id, others))
