"""Runs a graph over texts by weights whose rows come as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from threading import local

import numpy as np
import onnx_ir as ir

from convert.weights import Floats, Weight
from passes.calibration.execution import Execution
from passes.calibration.held import Text
from passes.calibration.observers import Observer
from passes.calibration.products import Product
from passes.calibration.stored_products import (
    Bits,
    TiledProduct,
    WidenedProduct,
    split,
    suits_tiles,
)


class StoredExecution(Execution):
    """Runs a graph on blocks whose values are as they are stored; no observer looks at them."""

    def __init__(
        self, model: ir.Model, texts: Sequence[Text], observers: Sequence[Observer]
    ) -> None:
        super().__init__(model, texts, observers, logits=False)
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


def _same(some: Sequence[Floats], others: Sequence[Floats]) -> bool:
    return list(map(id, some)) == list(map(id, others))
