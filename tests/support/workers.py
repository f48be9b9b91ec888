"""Workers of this machine: in processes that may die, or here, as if they were elsewhere."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from convert.executors import Executing, ThreadExecutor


class Elsewhere:
    """Does tasks here, last ones first, of pickles that go there and back.

    Args:
        count: That it pretends to be.
        fail_after: As many tasks are done before the run is interrupted; None for all.
    """

    def __init__(self, count: int, fail_after: int | None = None) -> None:
        self.count = count
        self.done: list[Any] = []
        self.memory: list[int] = []
        self._fail_after = fail_after

    @property
    def executing(self) -> Executing:
        return ThreadExecutor

    def warm_up(self, encodings: Collection[str], *, weighted: bool) -> None:
        pass

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], *, memory: int = 0
    ) -> Iterator[Any]:
        self.memory.append(memory)
        task = pickle.dumps(function)
        results: dict[int, bytes] = {}
        for start in range(0, len(items), self.count):
            if self._fail_after is not None and start >= self._fail_after:
                raise KeyboardInterrupt
            numbers = range(start, min(start + self.count, len(items)))
            for number in reversed(numbers):
                item = pickle.loads(pickle.dumps(items[number]))
                results[number] = pickle.dumps(_outcome(pickle.loads(task), item))
                self.done.append(item)
            for number in numbers:
                result, error = pickle.loads(results.pop(number))
                if error is not None:
                    raise error
                yield result


class PoolWorkers:
    """Processes of this machine. One that is killed is replaced, and its task done again.

    Args:
        count: How many.
        killed_at: If this file is not there, the first to begin a task makes it and is killed.
    """

    def __init__(self, count: int, killed_at: Path | None = None) -> None:
        self.count = count
        self.deaths = 0
        self._killed_at = killed_at

    @property
    def executing(self) -> Executing:
        return ThreadExecutor

    def warm_up(self, encodings: Collection[str], *, weighted: bool) -> None:
        pass

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], *, memory: int = 0
    ) -> Iterator[Any]:
        task = function if self._killed_at is None else _Mortal(function, self._killed_at)
        done = 0
        while done < len(items):
            with ProcessPoolExecutor(self.count, mp_context=get_context("fork")) as pool:
                futures = [pool.submit(task, item) for item in items[done:]]
                try:
                    for future in futures:
                        result = future.result()
                        done += 1
                        yield result
                except BrokenProcessPool:
                    self.deaths += 1
                finally:
                    pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Mortal:
    function: Callable[[Any], Any]
    mark: Path

    def __call__(self, item: Any) -> Any:
        try:
            self.mark.touch(exist_ok=False)
        except FileExistsError:
            return self.function(item)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process goes on")


def _outcome(function: Callable[[Any], Any], item: Any) -> tuple[Any, Exception | None]:
    try:
        return function(item), None
    except Exception as error:
        return None, error
