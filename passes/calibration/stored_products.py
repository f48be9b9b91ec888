"""Tokens times a weight whose rows come as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from threading import local

import numpy as np
from numpy.typing import NDArray

from convert.weights import Floats, FloatType, Rows, Weight
from passes.calibration.processor import has_matrix_tiles
from passes.calibration.products import LinearProduct, PortableProduct
from passes.calibration.reading import Block, as_float32

SIDE = 32
"""Of what is multiplied at a time in tiles: rows, tokens, features."""

Bits = NDArray[np.uint32]


class WidenedProduct(LinearProduct):
    """Widens rows to float32.

    Args:
        memory: Each thread's, to be used again and again.
    """

    stays = LinearProduct.stays | {"_memory"}

    def __init__(self, weight: Weight, inputs: Sequence[Floats], memory: local) -> None:
        super().__init__(weight, inputs)
        self._memory = memory

    def multiply(self, block: Block) -> None:
        held: dict[str, Floats] = self._memory.__dict__
        size = block.values.size
        if "values" not in held or held["values"].size < size:
            held["values"] = np.empty(size, np.float32)
        values = as_float32(block.values, held["values"][:size])
        super().multiply(Block(block.weight, block.start, block.stop, values))

    def of_rows(self, start: int, stop: int, memory: local | None = None) -> PortableProduct:
        part = super().of_rows(start, stop, memory)
        assert isinstance(part, WidenedProduct)
        part._memory = memory if memory is not None else local()
        return part


class TiledProduct(LinearProduct):
    """Multiplies bfloat16 rows as they are."""

    stays = frozenset({"_products", "_rows"})

    inputs: Bits
    """What `split` makes of `tokens`."""

    def prepare(self) -> None:
        self._products = np.empty((len(self.tokens), self._rows), np.float32)

    def computed(self) -> Floats:
        return self._products

    def put(self, start: int, computed: Floats) -> None:
        self._products[:, start : start + computed.shape[1]] = computed

    def multiply(self, block: Block) -> None:
        from passes.calibration.matrix_tiles import multiply_tiles, tile_shapes

        words = whole_tiles(block.values)
        out = self._products[:, block.start : block.stop]
        tokens = np.uint64(_whole(len(self.tokens)))
        multiply_tiles(tile_shapes(), words, self.inputs, tokens, out)

    def outputs(self) -> list[Floats]:
        lengths = [int(np.prod(shape)) for shape in self._shapes]
        parts = np.split(self._products, np.cumsum(lengths)[:-1])
        return [
            part.reshape(*shape, self._rows)
            for part, shape in zip(parts, self._shapes, strict=True)
        ]


def suits_tiles(weight: Weight) -> bool:
    """Whether this processor multiplies with the weight in tiles."""
    fits = weight.dtype is FloatType.BF16 and weight.columns % SIDE == 0
    return fits and has_matrix_tiles()


def split(tokens: Floats) -> Bits:
    """Inputs ``[tokens, features]`` as tiles."""
    from passes.calibration.matrix_tiles import split_inputs

    inputs = np.zeros(_whole(len(tokens)) * tokens.shape[1], np.uint32)
    split_inputs(np.ascontiguousarray(tokens).view(np.uint32), inputs)
    return inputs


def whole_tiles(rows: Rows) -> NDArray[np.uint16]:
    """The bits of bfloat16 rows, and zeros to fill the last tile."""
    words = np.ascontiguousarray(rows).view(np.uint16)
    beyond = _whole(len(words)) - len(words)
    if beyond:
        words = np.concatenate([words, np.zeros((beyond, words.shape[1]), np.uint16)])
    return words


def _whole(count: int) -> int:
    return -(-count // SIDE) * SIDE
