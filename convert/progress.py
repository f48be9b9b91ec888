"""What a run tells its user: bars with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from convert.reporting.history import History
from convert.workflow_commands import harmless, on_github

if TYPE_CHECKING:
    from convert.outcomes import Outcome

Advance = Callable[[int], None]

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_SIGNS_OF_LIFE = 30.0


class Reporter:
    """Prints the stages of a run to a stream, by default standard error, and remembers them.

    Subclass it to be told of them otherwise: what is said goes through `say`, and each artifact
    that was checked through `judged`. While a stage lasts long, `say` is called from another
    thread now and then.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._interactive = self._stream.isatty()
        self.history = History()

    def say(self, text: str) -> None:
        """Print a line."""
        print(harmless(text) if on_github() else text, file=self._stream, flush=True)

    def judged(self, outcome: Outcome) -> None:
        """Take what was found of an artifact, whether it passed or not."""

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Announce a step that cannot tell how far it is, and how long it took."""
        self.say(f"{title} ...")
        started = time.perf_counter()
        with self._signs_of_life(title, started):
            yield
        seconds = time.perf_counter() - started
        self.history.stages.append((title, seconds))
        self.say(f"{title}: {seconds:.1f} s")

    @contextmanager
    def _signs_of_life(self, title: str, started: float) -> Iterator[None]:
        ended = threading.Event()

        def tell() -> None:
            while not ended.wait(_SECONDS_BETWEEN_SIGNS_OF_LIFE):
                with suppress(OSError, ValueError):  # the stream was closed
                    self.say(f"{title}: {time.perf_counter() - started:.0f} s so far")

        teller = threading.Thread(target=tell, daemon=True, name="signs of life")
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()

    @contextmanager
    def transfer(self, title: str, total: int) -> Iterator[Advance]:
        """Show a step of ``total`` bytes; the yielded function takes the bytes just done."""
        started = time.perf_counter()
        remembered = self.history.begin_transfer(title, total)
        if self._interactive:
            with self._bar(title, total) as advance:
                yield _both(advance, remembered.advance)
        else:
            self.say(f"{title}: {_size(total)} ...")
            yield _both(_Lines(self, title, total).advance, remembered.advance)
        remembered.end()
        seconds = max(time.perf_counter() - started, 1e-9)
        self.history.stages.append((title, seconds))
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


class Silent(Reporter):
    """Says nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._interactive = False

    def say(self, text: str) -> None:
        """Keep it to oneself."""


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


def _both(first: Advance, second: Advance) -> Advance:
    def advance(count: int) -> None:
        first(count)
        second(count)

    return advance


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
