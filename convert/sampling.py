"""Which token comes next: the likeliest, or one drawn by chance that a seed settles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.errors import UsageError

Chooser = Callable[[NDArray[np.float32]], int]
"""Takes the logits ``[vocab]`` after a token, gives the next one."""


def likeliest(logits: NDArray[np.float32]) -> int:
    """The token of the largest logit, the first of several."""
    return int(logits.argmax())


@dataclass(frozen=True)
class Sampling:
    """Draws from the distribution of the logits, cut first by ``top_k``, then by ``top_p``.

    Args:
        temperature: Logits are divided by it.
        top_k: Only so many of the likeliest tokens are drawn from; None for all.
        top_p: Only the likeliest tokens are drawn from, as few as together have at least this
            probability; None for all.
        seed: The same seed draws the same tokens from the same logits.

    Raises:
        UsageError: A value is outside its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for option, value, fits, expected in (
            ("--temperature", self.temperature, 0 < self.temperature < np.inf, "above 0"),
            ("--top-k", self.top_k, self.top_k is None or self.top_k >= 1, "at least 1"),
            ("--top-p", self.top_p, self.top_p is None or 0 < self.top_p <= 1, "in (0, 1]"),
            ("--seed", self.seed, self.seed >= 0, "at least 0"),
        ):
            if not fits:
                raise UsageError(
                    f"{option} is outside its range", expected=expected, found=f"{value}"
                )

    def chooser(self, index: int) -> Chooser:
        """For the text of this index, whatever else is drawn for other texts."""
        random = np.random.default_rng([self.seed, index])
        return lambda logits: self._draw(logits, random.random())

    def _draw(self, logits: NDArray[np.float32], where: float) -> int:
        """The token at ``where``, in [0, 1), of the cumulative distribution, likeliest first."""
        order = np.argsort(-logits, kind="stable")[: self.top_k]
        scaled = logits[order].astype(np.float64) / self.temperature
        shares = np.exp(scaled - scaled[0]).cumsum()
        shares /= shares[-1]
        if self.top_p is not None:
            shares = shares[: int(np.searchsorted(shares, self.top_p)) + 1]
        chosen = int(np.searchsorted(shares, where * shares[-1], side="right"))
        return int(order[min(chosen, len(shares) - 1)])
