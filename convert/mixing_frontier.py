"""The cheapest choice of one option for each of many items: a multiple-choice knapsack, exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_CELLS = 1 << 26
"""Of the table, a byte each: items times steps of bytes."""

FEWEST_STEPS = 1 << 12


@dataclass(frozen=True)
class Option:
    """One way to store an item: its bytes, and what it costs in quality."""

    nbytes: int
    cost: float


class Frontier:
    """The least sum of costs for every budget of bytes.

    A dynamic program over the bytes beyond the least possible, counted in steps of their greatest
    common divisor; then it is exact. Where that gives too many steps they are longer, and bytes
    are rounded up: no budget is exceeded, and at most one step an item is left unused.

    Args:
        items: The options of each; at least one, at most 255.
        most_cells: Size of the table.
    """

    def __init__(self, items: Sequence[Sequence[Option]], most_cells: int = MOST_CELLS) -> None:
        self._items = items
        self._least = [min(option.nbytes for option in item) for item in items]
        self.fewest_bytes = sum(self._least)
        extra = [
            [option.nbytes - least for option in item]
            for item, least in zip(items, self._least, strict=True)
        ]
        steps = max(FEWEST_STEPS, most_cells // max(1, len(items)))
        divisor = math.gcd(*(each for item in extra for each in item)) or 1
        span = sum(map(max, extra))
        self._step = divisor * max(1, -(-span // (divisor * steps)))
        self._steps = [[-(-each // self._step) for each in item] for item in extra]
        self._fill(1 + sum(map(max, self._steps)))

    def _fill(self, size: int) -> None:
        """The least cost within each number of steps, and the option of each item there."""
        self._choice = np.zeros((len(self._items), size), np.uint8)
        self._best: NDArray[np.float64] = np.zeros(size)
        for item, (options, steps) in enumerate(zip(self._items, self._steps, strict=True)):
            found = np.full(size, np.inf)
            for number, (option, step) in enumerate(zip(options, steps, strict=True)):
                offered = self._best[: size - step] + option.cost
                better = offered < found[step:]
                found[step:][better] = offered[better]
                self._choice[item, step:][better] = number
            self._best = found

    def within_bytes(self, budget: int) -> list[int] | None:
        """The number of the option of each item, costs being least; None if nothing is so small."""
        left = budget - self.fewest_bytes
        return None if left < 0 else self._trace(min(left // self._step, len(self._best) - 1))

    def within_cost(self, limit: float) -> list[int] | None:
        """The same, bytes being fewest; None if everything costs more."""
        fits = self._best <= limit
        return self._trace(int(fits.argmax())) if fits.any() else None

    def _trace(self, at: int) -> list[int]:
        chosen = [0] * len(self._items)
        for item in reversed(range(len(self._items))):
            chosen[item] = int(self._choice[item, at])
            at -= self._steps[item][chosen[item]]
        return chosen
