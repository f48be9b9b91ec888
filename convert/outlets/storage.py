"""What is asked of object storage that takes artifacts; names are those below the output's URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from convert.outlets.part_journal import Sent
from convert.outlets.parts import FilePart


@dataclass(frozen=True)
class Listed:
    """A part as the storage lists it: its bytes, and its ETag."""

    size: int
    etag: str


class PartStorage(Protocol):
    """Uploads by parts, of which nothing is visible before they are completed.

    All methods raise `UnavailableDestinationError` for what the storage refuses.
    """

    def begin(self, name: str) -> str:
        """Begin an upload; what the storage calls it."""

    def listed(self, name: str, identifier: str) -> Mapping[int, Listed] | None:
        """The parts that it holds of an upload, from 0 on; None if it knows of no such upload."""

    def send(self, name: str, identifier: str, number: int, body: FilePart) -> Sent:
        """Send a part, from 0 on; again does no harm."""

    def complete(self, name: str, identifier: str, parts: Sequence[Sent], size: int) -> None:
        """Make the object of all its parts."""

    def is_made_of(self, name: str, parts: Sequence[Sent]) -> bool:
        """Whether the object is there already and was certainly made of these parts."""

    def abort(self, name: str, identifier: str) -> None:
        """Have the parts of an upload removed, if it is there."""


class Storage(Protocol):
    """A folder of objects; all methods raise `UnavailableDestinationError`.

    Args:
        url: Its place.
    """

    url: str

    @property
    def parts(self) -> PartStorage | None:
        """Uploads by parts; None where objects are put whole."""

    def require_access(self) -> None:
        """Find out early that there is no such place, or no right to it."""

    def sizes(self, folder: str) -> Mapping[str, int]:
        """Bytes of every object below a folder, by name."""

    def read(self, name: str) -> bytes | None:
        """The bytes of a small object; None where there is none."""

    def put(self, name: str, path: Path) -> None:
        """Make an object of a whole file, or replace it."""

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
