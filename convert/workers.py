"""Who works for a run: this process, or others that may be on other machines.

A run asks them to do chunks of its stream, and whole tasks that do not depend on each other. What
comes of it is the same to the last bit whoever does it, and however many they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from convert.executors import Executing, ThreadExecutor
from convert.hashing import in_background
from passes.encodings import warm_up

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Protocol):
    """Do chunks and tasks."""

    @property
    def count(self) -> int:
        """How many tasks `map` does at once."""

    @property
    def executing(self) -> Executing:
        """Makes what does a stream's chunks."""

    def warm_up(self, encodings: Collection[str], *, weighted: bool) -> None:
        """Have whoever will do chunks get ready for it; returns at once.

        See `passes.encodings.warm_up`.
        """

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, memory: int = 0
    ) -> Iterator[Result]:
        """What ``function`` makes of each item, in the order of the items.

        Args:
            function: Can be pickled, and so can items and results. It may be called twice for the
                same item, if whoever did so died, and must then give the same.
            items: What to do.
            memory: Bytes that one call needs, so that no machine is given too many.

        Raises:
            Exception: What a call raised, as it was raised.
        """


class ThisProcess:
    """Does chunks on threads, and one task after the other."""

    @property
    def count(self) -> int:
        """One."""
        return 1

    @property
    def executing(self) -> Executing:
        """Threads of this process."""
        return ThreadExecutor

    def warm_up(self, encodings: Collection[str], *, weighted: bool) -> None:
        """See `Workers`."""
        in_background(partial(warm_up, encodings, weighted=weighted))

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, memory: int = 0
    ) -> Iterator[Result]:
        """See `Workers`."""
        return map(function, items)


THIS_PROCESS = ThisProcess()
"""Who works where nobody else is asked."""
