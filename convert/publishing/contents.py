"""What is published: the files of an artifact, and its model card."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from convert.errors import BrokenInputError, UnsafePathError, UnsupportedError, UsageError
from convert.hashing import hash_file
from convert.manifest import COMPANIONS, SIGNATURE_NAME, Manifest, present_files
from convert.provenance.signatures import claims_to_sign

CARD_NAME = "README.md"


@dataclass(frozen=True)
class Item:
    """One file on its way.

    Args:
        path: Below the root of the repository, with slashes.
        size: Bytes.
        sha256: Hexadecimal digest of its bytes.
        source: Where it lies, or its bytes.
    """

    path: str
    size: int
    sha256: str
    source: Path | bytes

    @classmethod
    def of_bytes(cls, path: str, data: bytes) -> Item:
        """A file that is made for the publication."""
        return cls(path, len(data), hashlib.sha256(data).hexdigest(), data)

    @property
    def digest(self) -> str:
        """As registries write it."""
        return f"sha256:{self.sha256}"


def items_of(artifact: Path, manifest: Manifest, *, trusted: bool) -> tuple[Item, ...]:
    """Every file of an artifact and what accompanies it, such as its manifest and a signature, but
    a model card of an earlier publication.

    Args:
        artifact: Its folder.
        manifest: Its manifest.
        trusted: Whether the files have just been found to have the hashes of the manifest.

    Raises:
        UnsupportedError: It has a README.md of its own, where the model card belongs.
        BrokenInputError: A file that the manifest does not name is a link.
        UsageError: An older card is signed.
    """
    recorded = {record.path: record for record in manifest.files}
    if claims_to_sign(artifact, CARD_NAME):
        raise UsageError(
            f"{artifact} is signed together with its {CARD_NAME}, which is made anew to publish it",
            remedy=f"remove {CARD_NAME} and {SIGNATURE_NAME}, and sign it again",
        )
    if CARD_NAME in recorded:
        raise UnsupportedError(
            f"{artifact} has a {CARD_NAME} of its own, where the model card belongs",
            remedy="let the target call that file something else",
        )
    items = []
    for name, path in sorted(_files(artifact, recorded.keys()).items()):
        record = recorded.get(name)
        if record is None and path.is_symlink():
            raise BrokenInputError(
                f"{path} is a link that the manifest does not name", expected="a file"
            )
        if record is None or not trusted:
            record = hash_file(artifact, path)
        items.append(Item(safe_path(name), record.size, record.sha256, path))
    return tuple(items)


def safe_path(text: str) -> str:
    """A path that a repository names, if it stays below the folder that it is put into.

    Raises:
        UnsafePathError: It does not, or is not a path of a file.
    """
    parts = text.split("/")
    if (
        any(part in ("", ".", "..") for part in parts)
        or "\\" in text
        or any(ord(character) < 32 or ord(character) == 127 for character in text)
        or PurePosixPath(text).is_absolute()
    ):
        raise UnsafePathError(f"unsafe name of a file: {text!r}", expected="a path in an artifact")
    return text


def _files(artifact: Path, recorded: Set[str]) -> dict[str, Path]:
    files = present_files(artifact, besides=recorded)
    for name in COMPANIONS - {CARD_NAME}:
        if (artifact / name).is_file():
            files[name] = artifact / name
    return {name: path for name, path in files.items() if path.is_file()}
