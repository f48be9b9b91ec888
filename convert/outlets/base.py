"""Where finished artifacts go: to their folder here, or on from a folder here to somewhere else.

A run makes its artifacts in a folder of this machine whatever happens to them afterwards, so that
it can go on after an interruption, and so that the gate can run them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from convert import artifact

if TYPE_CHECKING:
    from convert.artifact import PendingFolder
    from convert.progress import Reporter
    from convert.runs import Runs
    from targets.base import Layout

Told: TypeAlias = "Callable[[str, int, int, Runs | None], None]"
"""Told, by file, offset and size, and the runs of a plane perhaps, which bytes are in place; each
once, on any thread. What it raises ends the run.
"""

Follow: TypeAlias = "Callable[[Path, Layout], Told]"
"""Given a folder whose files exist and are about to be written, who is told of their bytes."""


def nobody_follows(folder: Path, layout: Layout) -> Told:
    """Nobody is told of a folder's bytes."""
    return lambda file, offset, size, runs: None


class Outlet(Protocol):
    """Takes artifacts from a run: each is followed while it is written, then published or dropped.

    All folders are those in the making, see `PendingFolder.path`, unless said otherwise.
    """

    def opened(
        self, out: Path, names: Sequence[str], reporter: Reporter, restart: bool
    ) -> AbstractContextManager[None]:
        """Be ready for a run; leaving drops what cannot be gone on from.

        Args:
            out: Folder of the run.
            names: Of the artifacts.
            reporter: Told of what goes out.
            restart: Discard what an interrupted run left.
        """

    def require_absent(self, final: Path) -> None:
        """Refuse an artifact that is there already.

        Args:
            final: What its folder here will be.

        Raises:
            OutputExistsError: It is.
        """

    def follow(self, folder: Path, layout: Layout) -> Told:
        """Who is told of the bytes of an artifact whose files exist."""

    def publish(self, folder: PendingFolder) -> Path:
        """Give a complete artifact its name; a folder here that holds its manifest at least."""

    def place(self, final: Path) -> str:
        """What to call the place where an artifact gets its name."""

    def drop(self, folder: PendingFolder) -> None:
        """Take an artifact back that fails its gate."""

    def accompany(self, final: Path) -> None:
        """Have the pages beside a published artifact go along."""


class Here:
    """The folder of the run itself."""

    @contextmanager
    def opened(
        self, out: Path, names: Sequence[str], reporter: Reporter, restart: bool
    ) -> Iterator[None]:
        """Nothing is needed."""
        yield

    def require_absent(self, final: Path) -> None:
        """See `Outlet`."""
        artifact.require_absent(final)

    def follow(self, folder: Path, layout: Layout) -> Told:
        """Nobody needs to know."""
        return nobody_follows(folder, layout)

    def publish(self, folder: PendingFolder) -> Path:
        """See `Outlet`."""
        return folder.publish()

    def place(self, final: Path) -> str:
        """Its folder."""
        return str(final)

    def drop(self, folder: PendingFolder) -> None:
        """It goes with its folder."""

    def accompany(self, final: Path) -> None:
        """They are there."""
