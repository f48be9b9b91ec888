"""Second moments of the inputs of linear layers, found by what their weights read."""

from __future__ import annotations

from collections.abc import Hashable

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from convert.convolution_weights import CollapsedTaps, Taps
from convert.scaled_weights import ScaledWeight
from convert.weight_views import ColumnRanges, SpacedRows
from convert.weights import Floats, RowRanges, Weight


class Moments:
    """Mean squares of the inputs of linear layers.

    Those of views follow from those of the weights that they view, where every row of the view
    is multiplied with the same inputs.
    """

    def __init__(self) -> None:
        self._found: dict[Hashable, Floats] = {}

    def put(self, weight: Weight, moments: Floats) -> None:
        """Take in what goes into a linear layer or a convolution, ``[features]``."""
        self._found[weight.identity] = moments

    def of(self, weight: Weight) -> Floats | None:
        """Of each column of a matrix; None where they are not known."""
        if isinstance(weight, ScaledWeight):
            return _divided(self.of(weight.weight), weight.column_factors)
        if isinstance(weight, SpacedRows):
            return self.of(weight.weight)
        found = self._found.get(weight.identity)
        if found is None:
            found = self._of_view(weight)
        return found if found is None or found.size == weight.columns else None

    def _of_view(self, weight: Weight) -> Floats | None:
        if isinstance(weight, ColumnRanges):
            whole = self.of(weight.weight)
            if whole is None:
                return None
            return np.concatenate([whole[first:last] for first, last in weight.ranges])
        if isinstance(weight, Taps):
            return self._by_tap(weight.weight, weight.columns)
        if isinstance(weight, CollapsedTaps):
            return self._by_tap(weight.inner, weight.columns)
        if isinstance(weight, RowRanges):
            parts = [self.of(part.weight) for part in weight.ranges]
            first = parts[0]
            if first is not None and all(_equal(part, first) for part in parts):
                return first
        return None

    def _by_tap(self, kernel: Weight, columns: int) -> Floats | None:
        """Each tap sees the tokens that the last one sees, but for a few at the ends."""
        channels = self._found.get(kernel.identity)
        return None if channels is None else np.tile(channels, columns // channels.size)


def _divided(moments: Floats | None, by: Floats | None) -> Floats | None:
    return moments if moments is None or by is None else moments / by**2


def rounded(moments: NDArray[np.floating]) -> Floats:
    """To bfloat16: scales need two digits of them, and processors differ in the last ones."""
    return moments.astype(ml_dtypes.bfloat16).astype(np.float32)


def _equal(one: Floats | None, other: Floats) -> bool:
    return one is not None and np.array_equal(one, other)
