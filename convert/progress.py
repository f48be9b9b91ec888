"""What a run tells its user: bars with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Advance = Callable[[int], None]

_SECONDS_BETWEEN_LINES = 10.0


class Reporter:
    """Prints the stages of a run to a stream, by default standard error."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._interactive = self._stream.isatty()

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=self._stream, flush=True)

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Announce a step that cannot tell how far it is, and how long it took."""
        self.say(f"{title} ...")
        started = time.perf_counter()
        yield
        self.say(f"{title}: {time.perf_counter() - started:.1f} s")

    @contextmanager
    def transfer(self, title: str, total: int) -> Iterator[Advance]:
        """Show a step of ``total`` bytes; the yielded function takes the bytes just done."""
        started = time.perf_counter()
        if self._interactive:
            with self._bar(title, total) as advance:
                yield advance
        else:
            self.say(f"{title}: {_size(total)} ...")
            yield _Lines(self, title, total).advance
        seconds = max(time.perf_counter() - started, 1e-9)
        self.say(f"{title}: {_size(total)} in {seconds:.1f} s ({_size(total / seconds)}/s)")

    @contextmanager
    def _bar(self, title: str, total: int) -> Iterator[Advance]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        console = Console(file=self._stream)
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(title, total=total)
            yield lambda count: progress.advance(task, count)


class _Lines:
    """Progress for logs: a line now and then."""

    def __init__(self, reporter: Reporter, title: str, total: int) -> None:
        self._reporter, self._title, self._total = reporter, title, total
        self._done = 0
        self._started = self._last = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES or not self._done:
            return
        self._last = now
        rate = self._done / (now - self._started)
        left = (self._total - self._done) / rate
        self._reporter.say(
            f"{self._title}: {self._done / self._total:.0%}, {_size(rate)}/s, {left:.0f} s left"
        )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
