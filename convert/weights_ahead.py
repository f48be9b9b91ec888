"""Asks the system for the weights that come next while others are encoded."""

from __future__ import annotations

from collections.abc import Iterable

from convert.weights import Weight

BYTES_AHEAD = 128 << 20
"""Of the weights to come; they wait in the system's own memory, not in the program's."""


class WeightsAhead:
    """Stays a little ahead of a stream.

    Args:
        weights: In the order in which the stream will come to them, or nearly so.
        bytes_ahead: How far to stay ahead, and the most that is asked for of one weight.
    """

    def __init__(self, weights: Iterable[Weight], bytes_ahead: int = BYTES_AHEAD) -> None:
        self._coming = iter(weights)
        self._bytes_ahead = bytes_ahead
        self._asked = 0
        self._reached = 0

    def reach(self, weight: Weight) -> None:
        """Tell that the stream has come to a weight: ask for what follows it."""
        self._reached += weight.nbytes
        while self._asked < self._reached + self._bytes_ahead:
            following = next(self._coming, None)
            if following is None:
                return
            following.read_ahead(self._bytes_ahead)
            self._asked += following.nbytes
