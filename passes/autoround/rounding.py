"""Rounds all weights of a block so that its outputs stay as they are, by signed gradient descent.

``ŵ = s · (clip(round(w / s + z + v)) - z) + m`` with ``v`` of each weight in [-1/2, 1/2] and ``s``
that of the group times a number of its own: all of them move by the sign of their gradient, a step
that falls to zero (SignRound, arXiv 2309.05516). What is stored is what was trained with: scales
are those in float16, and the grid is the encoding's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convert.weights import Floats
from passes.autoround.blocks import BATCH_TOKENS, ITERATIONS
from passes.encodings.base import Bytes
from passes.encodings.grids import GroupGrid, Scales

LARGEST_CHANGE = 0.5
"""Of a scale, as a share of it."""


@dataclass(frozen=True)
class Task:
    """What to round, and what for.

    Args:
        weights: Of the block, by name: matrices ``[out, in]``, kernels.
        grids: Of those that are to be rounded.
        moments: Of the inputs of these, ``[in]``.
        sources: What comes in for each text as it was rounded so far.
        wanted: What should come out.
        run: Computes what comes out, of a text's number, what comes in, and weights.
    """

    weights: Mapping[str, Floats]
    grids: Mapping[str, GroupGrid]
    moments: Mapping[str, NDArray[np.float64]]
    sources: Sequence[Any]
    wanted: Sequence[Any]
    run: Callable[[int, Any, Mapping[str, Any]], Any]


class RoundedWeight:
    """A weight, and how it is rounded now.

    Args:
        weight: ``[rows, columns]``.
        grid: Of its encoding.
        moments: Of its inputs, which choose the scales to begin with.
    """

    def __init__(self, weight: Floats, grid: GroupGrid, moments: NDArray[np.float64]) -> None:
        rows, columns = weight.shape
        self._grid, self._shape = grid, (rows, columns // grid.group, grid.group)
        parts = np.split(weight, columns // grid.group, 1)
        costs = np.split(moments.astype(np.float32), columns // grid.group)
        self._begin = [
            grid.choose(np.ascontiguousarray(part), cost)
            for part, cost in zip(parts, costs, strict=True)
        ]
        self._scale, zero, minimum = (
            torch.from_numpy(np.stack([each.grid()[i] for each in self._begin], 1))[..., None]
            for i in range(3)
        )
        self._zero, self._minimum = zero, minimum
        self._weight = torch.from_numpy(np.ascontiguousarray(weight)).view(self._shape)
        self.offset = torch.zeros(self._shape)
        self.factor = torch.ones(rows, columns // grid.group, 1)
        self._levels = torch.from_numpy(grid.levels)
        self._midpoints = torch.from_numpy(grid.midpoints)
        self._highest = grid.levels.size - 1
        gaps = np.diff(grid.levels)
        self._is_even = bool(np.all(gaps == 1))
        self._gaps = torch.from_numpy(np.concatenate([gaps, gaps[-1:]]))

    def scale(self) -> Any:
        """Of each group, as stored, ``[rows, groups, 1]``."""
        return (self._scale * self.factor).half().float()

    def places(self) -> tuple[Any, Any, Any]:
        """Number of the level of each weight; where on the grid it is; whether it is within."""
        scale = self.scale()
        usable = torch.where(scale == 0, 1.0, scale)
        exact = (self._weight - self._minimum) / usable + self._zero
        if self._is_even:
            moved = exact + self.offset
            moved -= self._levels[0]
            places = moved.round().clamp_(0, self._highest)
            return places, exact, (moved > -0.5) & (moved < self._highest + 0.5)
        below = torch.bucketize(exact, self._levels, right=True).sub_(1).clamp_(0, self._highest)
        moved = exact + self.offset * self._gaps[below]
        places = torch.bucketize(moved, self._midpoints)
        within = (moved > self._levels[0]) & (moved < self._levels[-1])
        return places, exact, within

    def decoded(self) -> Any:
        """The weight as it is stored, ``[rows, columns]``."""
        places = self.places()[0]
        values = places + self._levels[0] if self._is_even else self._levels[places]
        found = (values - self._zero) * self.scale() + self._minimum
        return found.view(self._shape[0], -1)

    def step(self, gradient: Any, size: float) -> None:
        """Move everything by the sign of its gradient.

        Args:
            gradient: Of the loss by the stored weight, ``[rows, columns]``.
            size: How far to move.
        """
        slope = gradient.view(self._shape)
        places, exact, within = self.places()
        values = places + self._levels[0] if self._is_even else self._levels[places]
        change = torch.where(within, values - exact, values - self._zero)
        by_factor = (slope * change).sum(-1, keepdim=True) * self._scale
        signs = torch.sign(slope * self._scale).mul_(within)
        self.offset.sub_(signs, alpha=size).clamp_(-0.5, 0.5)
        self.factor.sub_(torch.sign(by_factor), alpha=size)
        self.factor.clamp_(1 - LARGEST_CHANGE, 1 + LARGEST_CHANGE)

    def begin_again(self) -> None:
        """Round to the nearest, with the scales of the beginning."""
        self.offset.zero_()
        self.factor.fill_(1)

    def planes(self) -> tuple[Bytes, ...]:
        """What is stored."""
        places = self.places()[0].to(torch.uint8).view(self._shape[0], -1).numpy()
        stored = self.scale().half().numpy()[..., 0]
        scales = [
            Scales(np.ascontiguousarray(stored[:, i]), each.zeros, each.minima)
            for i, each in enumerate(self._begin)
        ]
        return self._grid.pack(np.ascontiguousarray(places), scales)


def rounded(task: Task, seed: int, iterations: int = ITERATIONS) -> dict[str, tuple[Bytes, ...]]:
    """The planes of each weight that is to be rounded.

    If the outputs are no better for it at the end, weights are rounded to the nearest.

    Args:
        task: What to do.
        seed: Decides in which order texts are taken.
        iterations: How many steps to take.
    """
    held = {
        name: RoundedWeight(task.weights[name], grid, task.moments[name])
        for name, grid in task.grids.items()
    }
    others = {
        name: torch.from_numpy(np.ascontiguousarray(weight))
        for name, weight in task.weights.items()
        if name not in held
    }
    before = _loss(task, held, others)
    order = _batches([each.shape[1] for each in task.sources], seed)
    for number in range(iterations):
        _descend(task, held, others, next(order), (1 - number / iterations) / iterations)
    if _loss(task, held, others) >= before:
        for each in held.values():
            each.begin_again()
    return {name: each.planes() for name, each in held.items()}


def _descend(
    task: Task,
    held: Mapping[str, RoundedWeight],
    others: Mapping[str, Any],
    batch: Sequence[int],
    size: float,
) -> None:
    """One step, by some of the texts."""
    leaves = {name: each.decoded().requires_grad_() for name, each in held.items()}
    for text in batch:
        found = task.run(text, task.sources[text], {**others, **leaves})
        torch.nn.functional.mse_loss(found, task.wanted[text], reduction="sum").backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for name, each in held.items():
            each.step(leaves.pop(name).grad, size)


def _loss(task: Task, held: Mapping[str, RoundedWeight], others: Mapping[str, Any]) -> float:
    """Squared error of all outputs."""
    with torch.no_grad():
        stored = {name: each.decoded() for name, each in held.items()}
        return sum(
            float((task.run(text, source, {**others, **stored}) - wanted).square().sum())
            for text, (source, wanted) in enumerate(zip(task.sources, task.wanted, strict=True))
        )


def _batches(lengths: Sequence[int], seed: int) -> Any:
    """Numbers of texts that have the tokens of a batch together, over and over, shuffled."""
    rng = np.random.default_rng(seed)
    batch: list[int] = []
    while True:
        for text in rng.permutation(len(lengths)).tolist():
            batch.append(text)
            if sum(lengths[each] for each in batch) >= BATCH_TOKENS:
                yield batch
                batch = []
        if batch and sum(lengths) < BATCH_TOKENS:
            yield batch
            batch = []
