"""Tokens times a weight whose blocks of rows come one after another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from threading import local
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from convert.weights import Floats, Weight
from passes.calibration.reading import Block, as_float32

if TYPE_CHECKING:
    from passes.calibration.observers import Observer

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


class PortableProduct(Product):
    """A product whose rows other processes may compute."""

    stays: ClassVar[frozenset[str]]
    """Attributes that are of no use to another process."""

    @property
    def nbytes(self) -> int:
        """Bytes of what goes to another process, about."""
        return 2 * self.tokens.nbytes

    def portable(self) -> PortableProduct:
        """The same without outputs, for another process; only `of_rows` may be asked of it."""
        light = copy(self)
        for name in self.stays & vars(self).keys():
            delattr(light, name)
        return light

    def has_inputs_of(self, other: PortableProduct) -> bool:
        """Whether `portable` gives the same for both."""
        mine, others = self.tokens, other.tokens
        return (
            type(self) is type(other)
            and mine.ctypes.data == others.ctypes.data
            and (mine.shape, mine.strides) == (others.shape, others.strides)
        )

    @abstractmethod
    def of_rows(self, start: int, stop: int, memory: local | None = None) -> PortableProduct:
        """The same inputs, for rows ``start`` to ``stop`` of the weight alone; prepared.

        Args:
            start: First row.
            stop: The one after the last.
            memory: This thread's, to be used again and again.
        """

    @abstractmethod
    def computed(self) -> Floats:
        """What was computed, in a form of its own, once all rows have come."""

    @abstractmethod
    def put(self, start: int, computed: Floats) -> None:
        """Take in what another product `computed` of rows from ``start`` on."""


class Intake:
    """Takes in the rows of a weight: multiplies with them.

    Args:
        product: Where outputs are wanted.
        watching: Observers that look at weights.
    """

    def __init__(self, product: Product | None, watching: Sequence[Observer]) -> None:
        self._product, self._watching = product, watching

    @property
    def product(self) -> PortableProduct | None:
        """What other processes may compute in the place of this; None where they may not."""
        portable = isinstance(self._product, PortableProduct) and not self._watching
        return self._product if portable else None  # type: ignore[return-value]

    def __call__(self, block: Block) -> None:
        for observer in self._watching:
            observer.weight(block.weight.name, block.start, block.values)
        if self._product is not None:
            self._product.multiply(block)


class LinearProduct(PortableProduct):
    """``Y = X Wᵀ``: ``X [..., in]``, ``W [out, in]``, ``Y [..., out]``; one for all texts."""

    stays = frozenset({"_turned", "_rows"})

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

    def of_rows(self, start: int, stop: int, memory: local | None = None) -> PortableProduct:
        part = copy(self)
        part._rows = stop - start
        part.prepare()
        return part

    def outputs(self) -> list[Floats]:
        found, first = [], 0
        for shape in self._shapes:
            last = first + int(np.prod(shape))
            own = np.ascontiguousarray(self._turned[:, first:last].T)
            found.append(own.reshape(*shape, self._rows))
            first = last
        return found

    def computed(self) -> Floats:
        return self._turned

    def put(self, start: int, computed: Floats) -> None:
        self._turned[start : start + len(computed)] = computed


class ConvolutionProduct(PortableProduct):
    """``Y[:, t] = Σ_k W[:, :, k] X[:, t + k]``: ``X [1, in, S + K - 1, 1]``, ``W [out, in, K, 1]``,
    ``Y [1, out, S, 1]``. What comes before the first token of a text is no input of its own.
    """

    stays = frozenset({"_found", "_rows"})

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

    def of_rows(self, start: int, stop: int, memory: local | None = None) -> PortableProduct:
        part = copy(self)
        part._rows = stop - start
        part.prepare()
        return part

    def computed(self) -> Floats:
        return np.concatenate([each[0, :, :, 0] for each in self._found], axis=1)

    def put(self, start: int, computed: Floats) -> None:
        first = 0
        for found in self._found:
            last = first + found.shape[2]
            found[0, start : start + len(computed), :, 0] = computed[:, first:last]
            first = last

    def outputs(self) -> list[Floats]:
        return self._found
