"""Tokens times a weight whose blocks of rows come one after another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.weights import Floats, Weight
from passes.calibration.reading import Block, as_float32

Array = NDArray[Any]


class Product(ABC):
    """The inputs of all texts, and the outputs as far as the weight's rows have come."""

    tokens: Floats
    """All inputs ``[tokens, features]``."""

    @abstractmethod
    def prepare(self) -> None:
        """Make room for the outputs."""

    @abstractmethod
    def multiply(self, block: Block) -> None:
        """Compute the outputs that some rows of the weight are for."""

    @abstractmethod
    def outputs(self) -> list[Floats]:
        """The outputs of each text, once all rows have come."""


class LinearProduct(Product):
    """``Y = X Wᵀ``: ``X [..., in]``, ``W [out, in]``, ``Y [..., out]``; one for all texts."""

    def __init__(self, weight: Weight, inputs: Sequence[Floats]) -> None:
        self._rows = weight.rows
        self._shapes = [x.shape[:-1] for x in inputs]
        flat = [x.reshape(-1, x.shape[-1]) for x in inputs]
        self.tokens = flat[0] if len(flat) == 1 else np.concatenate(flat)

    def prepare(self) -> None:
        # Turned: so OpenBLAS is faster by a sixth, and blocks write to memory of their own.
        self._turned = np.empty((self._rows, len(self.tokens)), np.float32)

    def multiply(self, block: Block) -> None:
        np.matmul(block.values, self.tokens.T, out=self._turned[block.start : block.stop])

    def outputs(self) -> list[Floats]:
        found, first = [], 0
        for shape in self._shapes:
            last = first + int(np.prod(shape))
            own = np.ascontiguousarray(self._turned[:, first:last].T)
            found.append(own.reshape(*shape, self._rows))
            first = last
        return found


class ConvolutionProduct(Product):
    """``Y[:, t] = Σ_k W[:, :, k] X[:, t + k]``: ``X [1, in, S + K - 1, 1]``, ``W [out, in, K, 1]``,
    ``Y [1, out, S, 1]``. What comes before the first token of a text is no input of its own.
    """

    def __init__(self, weight: Weight, inputs: Sequence[Floats]) -> None:
        self._rows, self._taps = weight.rows, weight.shape[2]
        self._images = [image[0, :, :, 0] for image in inputs]
        self.tokens = np.concatenate([image[:, self._taps - 1 :].T for image in self._images])

    def prepare(self) -> None:
        lengths = [image.shape[1] - self._taps + 1 for image in self._images]
        self._found = [np.zeros((1, self._rows, length, 1), np.float32) for length in lengths]

    def multiply(self, block: Block) -> None:
        kernel = as_float32(block.values).reshape(len(block.values), -1, self._taps)
        for tap in range(self._taps):
            part = np.ascontiguousarray(kernel[..., tap])
            for image, found in zip(self._images, self._found, strict=True):
                rows = found[0, block.start : block.stop, :, 0]
                rows += part @ image[:, tap : tap + rows.shape[1]]

    def outputs(self) -> list[Floats]:
        return self._found
