"""What can be compared: an artifact, a manifest alone, or whatever `convert inspect` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.errors import UnavailableSourceError
from convert.hashing import FileRecord, hash_files
from convert.inspection import inspect
from convert.manifest import MANIFEST_NAME, Manifest, parse_manifest, present_files


@dataclass(frozen=True)
class Tensor:
    """A stored tensor: its shape, its encoding and its bytes."""

    shape: tuple[int, ...]
    encoding: str
    nbytes: int


@dataclass(frozen=True)
class Subject:
    """One side of a comparison.

    Args:
        name: Of the file or folder, or of the artifact.
        kind: ``artifact`` or ``manifest``, or what `convert inspect` calls it.
        tensors: By name. A manifest has the checkpoint's names, a file its own.
        files: By path, with their hashes.
        manifest: None for what is no artifact.
    """

    name: str
    kind: str
    tensors: Mapping[str, Tensor]
    files: Mapping[str, FileRecord]
    manifest: Manifest | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


def read_subject(path: Path, *, as_stored: bool = False) -> Subject:
    """Read one side; nothing is verified.

    Args:
        path: Folder of an artifact, its manifest.json, or what `convert inspect` reads.
        as_stored: Take tensors as an artifact's files have them, not as its manifest names them.

    Raises:
        UnavailableSourceError: There is nothing at ``path``, or nothing that is known.
        BrokenInputError: It is damaged.
    """
    if path.is_file() and path.suffix == ".json":
        return _of_manifest(parse_manifest(path), "manifest", path.resolve().parent.name)
    if (path / MANIFEST_NAME).is_file() and not as_stored:
        manifest = parse_manifest(path / MANIFEST_NAME)
        return _of_manifest(manifest, "artifact", path.resolve().name)
    return _of_files(path)


def read_pair(first: Path, second: Path) -> tuple[Subject, Subject]:
    """Read both sides, with tensors under names of the same kind where that is possible."""
    one, other = read_subject(first), read_subject(second)
    if (one.manifest is None) == (other.manifest is None):
        return one, other
    try:
        return read_subject(first, as_stored=True), read_subject(second, as_stored=True)
    except UnavailableSourceError:  # a manifest without its files
        return one, other


def _of_manifest(manifest: Manifest, kind: str, name: str) -> Subject:
    tensors = {one.name: Tensor(one.shape, one.encoding, one.bytes) for one in manifest.tensors}
    files = {file.path: file for file in manifest.files}
    return Subject(name or manifest.artifact, kind, tensors, files, manifest)


def _of_files(path: Path) -> Subject:
    found = inspect(path)
    tensors = {one.name: Tensor(one.shape, one.encoding, one.nbytes) for one in found.tensors}
    folder = path if path.is_dir() else path.parent
    paths = present_files(path).values() if path.is_dir() else (path,)
    records = hash_files(folder, (each for each in paths if each.is_file()))
    return Subject(found.name, found.kind, tensors, {file.path: file for file in records})
