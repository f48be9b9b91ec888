"""What took how long in a run: its stages, and the bytes of its transfers over time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

MOST_POINTS = 256
"""A transfer's points are thinned out beyond so many."""


@dataclass
class Transfer:
    """Bytes over time.

    Args:
        title: What was transferred.
        total: Bytes when it is done.
        points: Seconds since it began, and bytes done by then; rising, without the start.
    """

    title: str
    total: int
    points: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._started = time.perf_counter()
        self._done = 0
        self._apart = 0.0

    def advance(self, count: int) -> None:
        """Take in bytes just done."""
        self._done += count
        now = time.perf_counter() - self._started
        if count and now - (self.points[-1][0] if self.points else 0.0) >= self._apart:
            self.points.append((now, self._done))
        if len(self.points) > MOST_POINTS:
            self.points = self.points[1::2]
            self._apart = 2 * now / MOST_POINTS

    def end(self) -> None:
        """Take in the end, whenever the last bytes were done."""
        self.points.append((time.perf_counter() - self._started, self._done))


@dataclass
class History:
    """A run so far.

    Args:
        stages: What was done and how many seconds it took, transfers included.
        transfers: What was done in bytes.
    """

    stages: list[tuple[str, float]] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.perf_counter() - self._started

    def begin_transfer(self, title: str, total: int) -> Transfer:
        """A transfer that begins now."""
        self.transfers.append(Transfer(title, total))
        return self.transfers[-1]
