"""What was worked out from a tokenizer's files, kept between runs in the user's cache folder.

To load, convert and prove a tokenizer takes seconds, and depends on nothing but its files, the
packages that do it and this code. All of them are in the name of what is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from convert.cache_folder import cache_folder

_SUFFIXES = frozenset({".json", ".txt", ".model", ".jinja"})
"""Of files that a tokenizer may be made of."""


def remembered(
    what: str,
    folder: Path,
    packages: Sequence[str],
    make: Callable[[], Mapping[str, bytes]],
) -> Mapping[str, bytes]:
    """What ``make`` returns, or returned for the same files, packages and code before.

    Nothing is kept where nothing can be written; what was damaged is made anew.

    Args:
        what: Name of the result, with every argument of ``make`` that is not in ``folder``.
        folder: Of the checkpoint.
        packages: Distributions whose versions matter; they need not be installed.
        make: Gives bytes by name. What it raises is not kept.
    """
    path = cache_folder() / f"{_digest(what, folder, packages)}.zip"
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        made = make()
    with contextlib.suppress(OSError):
        _keep(path, made)
    return made


def _keep(path: Path, made: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        whole = Path(scratch, path.name)
        with zipfile.ZipFile(whole, "w") as archive:
            for name, data in made.items():
                archive.writestr(name, data)
        whole.replace(path)


def _digest(what: str, folder: Path, packages: Sequence[str]) -> str:
    versions = [(name, _version(name)) for name in packages]
    digest = hashlib.sha256(repr((what, versions)).encode())
    code = sorted(Path(__file__).parent.rglob("*.py"))
    for path in (*code, *_tokenizer_files(folder)):
        data = path.read_bytes()
        digest.update(f"\n{path.name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def _tokenizer_files(folder: Path) -> Iterator[Path]:
    for place in (folder, folder / "additional_chat_templates"):
        if place.is_dir():
            yield from sorted(path for path in place.iterdir() if path.suffix in _SUFFIXES)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
