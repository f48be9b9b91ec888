"""Encodings whose scales may be chosen by how much each column of a weight counts."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedEncodingError
from convert.weights import Rows
from passes.encodings.base import Bytes
from passes.encodings.compiled import CompiledEncoding, Words

Floats = NDArray[np.float32]
Self = TypeVar("Self", bound="WeightableEncoding")

LEAST_IMPORTANCE = np.float32(2.0**-60)
"""Smaller ones are 0, so that no product with them is."""


class WeightableEncoding(CompiledEncoding):
    """An encoding that can be bound to importances: see `weighted`."""

    importance: Floats | None = None
    """Of each column, the largest 1; None where all count the same."""

    awaits_moments: bool = False
    """Whether `weighted` is to be called before anything is encoded; see `awaiting_moments`."""

    @property
    def is_weightable(self) -> bool:
        """Whether `weighted` makes a difference."""
        return True

    def awaiting_moments(self: Self) -> Self:
        """The same format, for a weight whose moments become known just before it is encoded."""
        awaiting = copy.copy(self)
        awaiting.awaits_moments = self.is_weightable
        return awaiting

    def weighted(self: Self, moments: NDArray[np.floating]) -> Self:
        """The same format, with scales chosen by a weighted squared error.

        The squared error of a layer's outputs is, but for correlations between its inputs, that of
        its weights with each column weighted by the second moment of its input. What is stored
        has the same planes and decodes in the same way. A block whose columns all have moment 0
        is encoded as without moments.

        Args:
            moments: Mean squares of a linear layer's inputs, ``[columns]``, in any unit.

        Raises:
            UnsupportedEncodingError: They are not one finite number of 0 or more for each column.
        """
        importance = _importance(moments)
        bound = copy.copy(self)
        bound.importance = importance if self.is_weightable else None
        bound.awaits_moments = False
        return bound

    def run_kernel(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        if self.importance is None:
            return self.run_plain(words, kind, planes)
        return self.run_weighted(words, kind, self.importance, planes)

    def encode_into(self, rows: Rows, planes: tuple[Bytes, ...]) -> None:
        if self.importance is not None and self.importance.size != rows.shape[1]:
            raise UnsupportedEncodingError(
                f"an encoding {self.name!r} weighted for other columns",
                expected=f"rows of {self.importance.size} weights",
                found=f"rows of {rows.shape[1]}",
                remedy="give moments of the inputs of this very layer",
            )
        super().encode_into(rows, planes)

    def reference(self, rows: Rows) -> tuple[Bytes, ...]:
        if self.importance is None:
            return self.plain_reference(rows)
        return self.weighted_reference(rows, self.importance)

    @abstractmethod
    def run_plain(self, words: Words, kind: int, planes: tuple[Bytes, ...]) -> int:
        """`run_kernel` where all columns count the same."""

    @abstractmethod
    def run_weighted(
        self, words: Words, kind: int, importance: Floats, planes: tuple[Bytes, ...]
    ) -> int:
        """`run_kernel` with importances."""

    @abstractmethod
    def plain_reference(self, rows: Rows) -> tuple[Bytes, ...]:
        """`reference` where all columns count the same."""

    @abstractmethod
    def weighted_reference(self, rows: Rows, importance: Floats) -> tuple[Bytes, ...]:
        """`reference` with importances."""


def _importance(moments: NDArray[np.floating]) -> Floats | None:
    """Moments as shares of the largest; None where all are 0."""
    given = np.asarray(moments)
    if given.ndim != 1 or not given.size or not (np.isfinite(given) & (given >= 0)).all():
        raise UnsupportedEncodingError(
            "these are no second moments",
            expected="a finite number of 0 or more for each column",
            found=f"an array {list(given.shape)} from {given.min(initial=0)} "
            f"to {given.max(initial=0)}",
            remedy="take them from a calibration run",
        )
    largest = given.max()
    if largest == 0:
        return None
    shares: Floats = (given.astype(np.float64) / np.float64(largest)).astype(np.float32)
    shares[shares < LEAST_IMPORTANCE] = 0
    return shares
