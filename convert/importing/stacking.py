"""Weights of one shape as one of an axis more: what transformers makes of a list of modules."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from convert.expert_tensors import JoinedPart
from convert.importing.derived_weights import RaisedWeight, TurnedWeight
from convert.weights import FloatType, RowRanges, Rows, Weight


@dataclass(frozen=True)
class StackedWeight(Weight):
    """Weights of the same shape along a new first axis, of which each is a row.

    Args:
        name: Name of the result.
        parts: At least one.
    """

    name: str
    parts: tuple[Weight, ...]

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """How many parts, then the shape of each."""
        return (len(self.parts), *self.parts[0].shape)

    @property
    def dtype(self) -> FloatType:  # type: ignore[override]
        """The parts' common type; float32 if they have none."""
        kinds = {part.dtype for part in self.parts}
        return kinds.pop() if len(kinds) == 1 else FloatType.F32

    @property
    def identity(self) -> Hashable:
        """The parts, whose order is part of it."""
        return (StackedWeight, *(part.identity for part in self.parts))

    def read_rows(self, start: int, stop: int) -> Rows:
        rows = np.empty((stop - start, self.columns), self.dtype.numpy)
        for place, part in enumerate(self.parts[start:stop]):
            rows[place] = part.read_rows(0, part.rows).reshape(-1)
        return rows


@dataclass(frozen=True, eq=False)
class ConvertedWeight(Weight):
    """A tensor of the model that is none of the checkpoint's, but made of some.

    Args:
        name: In the model.
        weight: What it is made of.
    """

    name: str
    weight: Weight

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Its shape."""
        return self.weight.shape

    @property
    def dtype(self) -> FloatType:  # type: ignore[override]
        """Its type."""
        return self.weight.dtype

    @property
    def identity(self) -> Hashable:
        """That of what it is made of."""
        return self.weight.identity

    def read_rows(self, start: int, stop: int) -> Rows:
        return self.weight.read_rows(start, stop)

    def read_rows_into(self, start: int, stop: int, buffer: NDArray[np.uint8]) -> Rows:
        return self.weight.read_rows_into(start, stop, buffer)

    def read_ahead(self, most: int) -> None:
        self.weight.read_ahead(most)


def renamed(weight: Weight, name: str) -> Weight:
    """The same weight under another name, which is where `put_back` puts it."""
    if isinstance(weight, ConvertedWeight):
        return replace(weight, name=name)
    if isinstance(weight, JoinedPart | RaisedWeight | RowRanges | StackedWeight | TurnedWeight):
        return ConvertedWeight(name, weight)
    # What a file holds is a dataclass, whichever kind of file.
    return (
        weight if weight.name == name else cast("Weight", replace(cast("Any", weight), name=name))
    )
