"""Where published artifacts are fetched from, all with the same two questions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

Advance = Callable[[int], None]


class PublishedArtifact(ABC):
    """An artifact at one commit or digest: it stays the same while it is fetched."""

    @abstractmethod
    def files(self) -> Mapping[str, int | None]:
        """Size in bytes by path, None where it is not known.

        Raises:
            UnavailableSourceError: There is no such place, or it does not answer.
        """

    @abstractmethod
    def fetch(self, path: str, folder: Path, advance: Advance) -> None:
        """Put a file into a folder; go on with what an earlier call left there.

        Raises:
            UnavailableSourceError: It does not come.
        """

    def tidy(self, folder: Path) -> None:
        """Remove what helped to go on from a folder that is whole."""
        return
