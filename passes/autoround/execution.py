"""Rounds the linear layers of a graph block by block while it reads texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray

from convert.weights import Floats, Weight
from passes.autoround.blocks import ITERATIONS, blocks_of
from passes.autoround.blocks import Block as DecoderBlock
from passes.autoround.rounding import Task, rounded
from passes.autoround.running import TorchBlock
from passes.calibration.branches import second_moments
from passes.calibration.execution import Execution
from passes.calibration.held import Text
from passes.calibration.observers import Observer
from passes.calibration.products import LinearProduct, Product
from passes.calibration.reading import Block, as_float32
from passes.calibration.rounding import Find, Keep
from passes.calibration.snapshots import Arrays
from passes.calibration.steps import Step, plan
from passes.encodings.base import Encoding
from passes.encodings.grids import require_grid
from passes.encodings.weighting import WeightableEncoding


class BlockRounding(Execution):
    """An execution of every text twice: by the float model, and by what is rounded so far.

    A block's outputs for the second are to be as for the first. Linear layers that are in no block
    (a head) are rounded to the nearest, with weighted scales.

    Args:
        model: The float graph.
        texts: Tokens.
        encodings: How to store each weight that is to be rounded, by its name.
        keep: Takes what was rounded.
        find: Gives what need not be rounded again.
        iterations: Steps of the descent for each block.
        threads: Of torch.
    """

    def __init__(
        self,
        model: ir.Model,
        texts: Sequence[Text],
        encodings: Mapping[str, Encoding],
        keep: Keep,
        find: Find,
        *,
        iterations: int = ITERATIONS,
        threads: int | None = None,
    ) -> None:
        self._stored = _Stored(encodings, keep, find)
        super().__init__(model, [*texts, *texts], (self._stored,), logits=False)
        self._count = len(texts)
        self._blocks = {block.first: block for block in blocks_of(plan(model, logits=False))}
        self._encodings, self._keep, self._find = encodings, keep, find
        self._iterations, self._threads = iterations, threads

    def before(self, step: Step) -> None:
        block = self._blocks.get(self.done)
        if block is None:
            return
        missing = [
            name
            for name, weight in block.weights.items()
            if name in self._encodings and self._find(name, 0, min(1, weight.rows)) is None
        ]
        if missing:
            with _threads(self._threads):
                self._round(block)

    def linear(self, weight: Weight, inputs: Sequence[Floats]) -> Product:
        return _TwoProducts(weight, inputs, self._count, self._stored)

    def _round(self, block: DecoderBlock) -> None:
        weights = {
            step.weight.name: _whole(step.weight) for step in block.steps if step.weight is not None
        }
        ways = TorchBlock(block, self.held, range(self._count))
        texts = range(self._count)
        plain, stored = (
            [torch.from_numpy(self.held.get(block.source, text + first)) for text in texts]
            for first in (0, self._count)
        )
        tensors = {name: torch.from_numpy(weight) for name, weight in weights.items()}
        with torch.no_grad():
            wanted = [ways.run(text, plain[text], tensors) for text in texts]
            moments = _moments(ways, stored, tensors, self._encodings)
        grids = {name: require_grid(self._encodings[name]) for name in moments}
        task = Task(weights, grids, moments, stored, wanted, ways.run)
        for name, planes in rounded(task, block.first, self._iterations).items():
            self._keep(name, 0, len(weights[name]), planes)


class _Stored(Observer):
    """Holds the rows that came last as they are stored."""

    def __init__(self, encodings: Mapping[str, Encoding], keep: Keep, find: Find) -> None:
        self._encodings, self._keep, self._find = encodings, keep, find
        self._moments: NDArray[np.float64] = np.zeros(0)
        self._last: Floats | None = None

    def linear(self, weight: str, inputs: Floats) -> None:
        if weight in self._encodings:
            self._moments = second_moments([inputs])

    def weight(self, name: str, start: int, rows: Floats) -> None:
        self._last, encoding = None, self._encodings.get(name)
        if encoding is None:
            return
        planes = self._find(name, start, start + len(rows))
        if planes is None:
            assert isinstance(encoding, WeightableEncoding)
            planes = encoding.weighted(self._moments).encode(rows)
            self._keep(name, start, start + len(rows), planes)
        self._last = encoding.decode(planes, *rows.shape)

    def instead_of(self, block: Block) -> Block:
        """The block as it is stored, if it is one of those that are rounded."""
        if self._last is None:
            return block
        return Block(block.weight, block.start, block.stop, self._last)

    def to_arrays(self) -> Arrays:
        """Nothing: what was rounded was handed over."""
        return {}

    def from_arrays(self, arrays: Arrays) -> None:
        """Nothing is needed."""


class _TwoProducts(Product):
    """The first texts with the weight as it is, the others as it is stored."""

    def __init__(
        self, weight: Weight, inputs: Sequence[Floats], count: int, stored: _Stored
    ) -> None:
        # What depends on the length alone comes once for all texts: then there are not two ways.
        assert len(inputs) == 2 * count
        self._parts = [LinearProduct(weight, part) for part in (inputs[:count], inputs[count:])]
        self._stored = stored
        self.tokens = self._parts[1].tokens

    def prepare(self) -> None:
        for part in self._parts:
            part.prepare()

    def multiply(self, block: Block) -> None:
        self._parts[0].multiply(block)
        self._parts[1].multiply(self._stored.instead_of(block))

    def outputs(self) -> list[Floats]:
        return [found for part in self._parts for found in part.outputs()]


def _moments(
    ways: TorchBlock,
    sources: Sequence[Any],
    weights: Mapping[str, Any],
    names: Collection[str],
) -> dict[str, NDArray[np.float64]]:
    """Of the inputs of some layers of a block of which nothing is rounded yet."""
    sums: dict[str, NDArray[np.float64]] = {}

    def see(name: str, inputs: Any) -> None:
        if name in names:
            flat = inputs.reshape(-1, inputs.shape[-1]).numpy()
            sums[name] = sums.get(name, np.float64(0)) + second_moments([flat])

    for text, source in enumerate(sources):
        ways.run(text, source, weights, see)
    return sums


def _whole(weight: Weight) -> Floats:
    rows: Floats = as_float32(weight.read_rows(0, weight.rows)).reshape(weight.shape)
    return rows


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
