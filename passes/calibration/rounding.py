"""Rounds the linear layers of a graph while it reads texts, so that each layer's inputs are those
that the rounded layers before it give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.weights import Floats, Weight
from passes.calibration.execution import Execution
from passes.calibration.gptq import Factor, factor_of, round_rows
from passes.calibration.held import Text
from passes.calibration.observers import Observer
from passes.calibration.products import LinearProduct
from passes.calibration.reading import Block
from passes.calibration.snapshots import Arrays
from passes.encodings.base import Bytes, Encoding
from passes.encodings.grids import require_grid

Keep = Callable[[str, int, int, "tuple[Bytes, ...]"], None]
"""Told a weight, its first and last row, and the planes of these rows."""

Find = Callable[[str, int, int], "tuple[Bytes, ...] | None"]
"""What `Keep` was told in an earlier run."""


class Rounding(Execution):
    """An execution that rounds weights; see `Execution.run`.

    Args:
        model: The float graph.
        texts: Tokens.
        encodings: How to store each weight that is to be rounded, by its name.
        keep: Takes what was rounded.
        find: Gives what need not be rounded again.
    """

    def __init__(
        self,
        model: ir.Model,
        texts: Sequence[Text],
        encodings: Mapping[str, Encoding],
        keep: Keep,
        find: Find = lambda name, start, stop: None,
    ) -> None:
        self._rounder = _Rounder(encodings, keep, find)
        super().__init__(model, texts, (self._rounder,), logits=False)

    def linear(self, weight: Weight, inputs: Sequence[Floats]) -> LinearProduct:
        return _RoundedProduct(weight, inputs, self._rounder)


@dataclass(frozen=True)
class _Rounded:
    start: int
    rows: Floats


class _Rounder(Observer):
    """Rounds what it sees, and holds the last rows that it rounded."""

    def __init__(self, encodings: Mapping[str, Encoding], keep: Keep, find: Find) -> None:
        self._encodings, self._keep, self._find = encodings, keep, find
        self._inputs: Floats | None = None
        self._factors: dict[int, Factor] = {}
        self._last: _Rounded | None = None

    def linear(self, weight: str, inputs: Floats) -> None:
        if weight not in self._encodings:
            return
        if self._inputs is None or not np.array_equal(self._inputs, inputs):
            self._factors, self._inputs = {}, inputs.copy()

    def weight(self, name: str, start: int, rows: Floats) -> None:
        self._last = None
        encoding = self._encodings.get(name)
        if encoding is None:
            return
        stop = start + len(rows)
        planes = self._find(name, start, stop)
        if planes is None:
            grid = require_grid(encoding)
            planes = round_rows(rows, self._factor(grid.group), grid)
            self._keep(name, start, stop, planes)
        self._last = _Rounded(start, encoding.decode(planes, *rows.shape))

    def _factor(self, group: int) -> Factor:
        """That of the last inputs, which several layers may have in common."""
        assert self._inputs is not None
        if group not in self._factors:
            self._factors[group] = factor_of(self._inputs, group)
        return self._factors[group]

    def to_arrays(self) -> Arrays:
        """Nothing: what was rounded was handed over."""
        return {}

    def from_arrays(self, arrays: Arrays) -> None:
        """Nothing is needed."""

    def instead_of(self, block: Block) -> Block:
        """The block as it was rounded, if it was."""
        if self._last is None:
            return block
        assert self._last.start == block.start
        return Block(block.weight, block.start, block.stop, self._last.rows)


class _RoundedProduct(LinearProduct):
    def __init__(self, weight: Weight, inputs: Sequence[Floats], rounder: _Rounder) -> None:
        super().__init__(weight, inputs)
        self._rounder = rounder

    def multiply(self, block: Block) -> None:
        super().multiply(self._rounder.instead_of(block))
