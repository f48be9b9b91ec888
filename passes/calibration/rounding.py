"""Rounds the linear layers of a graph while it reads texts, so that each layer's inputs are those
that the rounded layers before it give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from convert.weights import Floats, Weight
from passes.calibration.execution import Execution
from passes.calibration.gptq import Factor, factor_of, round_rows
from passes.calibration.held import Text
from passes.calibration.observers import Observer
from passes.calibration.products import LinearProduct
from passes.calibration.reading import Block
from passes.calibration.snapshots import Arrays
from passes.calibration.spill import Spill
from passes.calibration.steps import Step
from passes.encodings.base import Bytes, Encoding
from passes.encodings.super_grids import require_any_grid

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
        find: Gives what need not be rounded again. Where texts are more than one batch, it must
            also give what was just kept.
        batch_tokens: See `execution.BATCH_TOKENS`.
        spill: Room for values of more than one batch.
    """

    def __init__(
        self,
        model: ir.Model,
        texts: Sequence[Text],
        encodings: Mapping[str, Encoding],
        keep: Keep,
        find: Find = lambda name, start, stop: None,
        *,
        batch_tokens: int | None = None,
        spill: Spill | None = None,
    ) -> None:
        self._rounder = _Rounder(encodings, keep, find)
        super().__init__(
            model,
            texts,
            (self._rounder,),
            logits=False,
            batch_tokens=batch_tokens,
            spill=spill,
        )

    def before(self, step: Step) -> None:
        if step.weight is not None:
            self._rounder.begin(step.weight.name, step.inputs[0])

    def linear(self, weight: Weight, inputs: Sequence[Floats]) -> LinearProduct:
        return _RoundedProduct(weight, inputs, self._rounder)


@dataclass(frozen=True)
class _Rounded:
    name: str
    start: int
    rows: Floats


class _Rounder(Observer):
    """Rounds what it sees, and holds the last rows that it rounded."""

    def __init__(self, encodings: Mapping[str, Encoding], keep: Keep, find: Find) -> None:
        self._encodings, self._keep, self._find = encodings, keep, find
        self._read: ir.Value | None = None
        self._reader = ""
        self._moments: Floats | None = None
        self._factors: dict[tuple[int, int], Factor] = {}
        self._last: _Rounded | None = None

    def begin(self, weight: str, read: ir.Value) -> None:
        """Told what the next layer reads: several may read the same."""
        self._last = None
        if weight in self._encodings and read is not self._read:
            self._read, self._reader = read, weight
            self._moments, self._factors = None, {}

    def linear(self, weight: str, inputs: Floats) -> None:
        if weight != self._reader:
            return
        seen = inputs.T @ inputs
        if self._moments is None:
            self._moments = seen
        else:
            self._moments += seen

    def weight(self, name: str, start: int, rows: Floats) -> None:
        encoding = self._encodings.get(name)
        if encoding is None:
            return
        stop = start + len(rows)
        planes = self._find(name, start, stop)
        if planes is None:
            grid = require_any_grid(encoding)
            planes = round_rows(rows, self._factor(grid.group, grid.span), grid)
            self._keep(name, start, stop, planes)
        self._last = _Rounded(name, start, encoding.decode(planes, *rows.shape))

    def _factor(self, group: int, span: int) -> Factor:
        """That of the last inputs, which several layers may have in common."""
        assert self._moments is not None
        if (group, span) not in self._factors:
            self._factors[group, span] = factor_of(self._moments, group, span)
        return self._factors[group, span]

    def to_arrays(self) -> Arrays:
        """Nothing: what was rounded was handed over."""
        return {}

    def from_arrays(self, arrays: Arrays) -> None:
        """Nothing is needed."""

    def instead_of(self, block: Block) -> Block:
        """The block as it was rounded, if it was."""
        name = block.weight.name
        encoding = self._encodings.get(name)
        if encoding is None:
            return block
        if self._last is None or (self._last.name, self._last.start) != (name, block.start):
            planes = self._find(name, block.start, block.stop)
            assert planes is not None
            rows = encoding.decode(planes, *block.values.shape)
            self._last = _Rounded(name, block.start, rows)
        return Block(block.weight, block.start, block.stop, self._last.rows)


class _RoundedProduct(LinearProduct):
    def __init__(self, weight: Weight, inputs: Sequence[Floats], rounder: _Rounder) -> None:
        super().__init__(weight, inputs)
        self._rounder = rounder

    def multiply(self, block: Block) -> None:
        super().multiply(self._rounder.instead_of(block))
