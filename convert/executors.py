"""Who works off the chunks of a run: the stream hands them over and does not know.

Here it is threads of this process. Whoever else does it may do a chunk twice, since a chunk's bytes
and their place depend on nothing but the chunk; but it must tell the artifact's files what is
written only once, see `convert.following`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol

from convert.chunk_worker import ChunkWorker, Output
from convert.chunks import Chunk
from convert.pool import Pool
from passes.calibration.reading import Take


class Executor(Protocol):
    """Does chunks, several at once; the first error ends it all.

    Use as a context manager: leaving it waits for all chunks; with an error, for those begun.
    """

    def submit(self, chunk: Chunk) -> None:
        """Have a chunk read, encoded and written soon; returns when few others wait.

        Raises:
            Exception: What went wrong with a chunk, not necessarily this one.
        """

    def submit_and_take(self, chunks: Iterable[Chunk], take: Take) -> Callable[[], None]:
        """As `submit`, but hand the rows over first.

        Returns:
            Waits until all of them were taken. Both may raise what went wrong with a chunk, not
            necessarily one of these.
        """

    def finish(self) -> None:
        """Return when all chunks are done.

        Raises:
            Exception: What went wrong with one.
        """

    def __enter__(self) -> Executor:
        """Itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait, or give up."""


Executing = Callable[
    [Mapping[Path, Output], int, Callable[[int], None], Callable[[], None]], Executor
]
"""Makes an executor: artifacts by folder, chunks in work at once, what is told of a done chunk's
bytes in the source, and what an error calls before begun chunks are waited for.
"""


class ThreadExecutor:
    """Does chunks on threads of this process.

    Args:
        outputs: By artifact's folder.
        threads: Chunks in work at once.
        done: Told of the source bytes of chunks that are done, on the thread that submits.
        abandon: Called on an error, before begun chunks are waited for.
    """

    def __init__(
        self,
        outputs: Mapping[Path, Output],
        threads: int,
        done: Callable[[int], None],
        abandon: Callable[[], None],
    ) -> None:
        self._worker = ChunkWorker(outputs)
        self._pool = Pool(threads, done, abandon)

    def submit(self, chunk: Chunk) -> None:
        """See `Executor`."""
        self._pool.submit(partial(self._worker.process, chunk))

    def submit_and_take(self, chunks: Iterable[Chunk], take: Take) -> Callable[[], None]:
        """See `Executor`."""
        taken: list[Future[None]] = []
        for chunk in chunks:
            taken.append(Future())
            self._pool.submit(partial(self._take_and_process, chunk, take, taken[-1]))
        return partial(self._pool.wait_for, taken)

    def finish(self) -> None:
        """See `Executor`."""
        self._pool.finish()

    def __enter__(self) -> ThreadExecutor:
        self._pool.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.__exit__(kind, error, traceback)

    def _take_and_process(self, chunk: Chunk, take: Take, taken: Future[None]) -> int:
        try:
            return self._worker.multiply_and_process(chunk, take, partial(taken.set_result, None))
        except BaseException as error:
            if not taken.done():
                taken.set_exception(error)
            raise
