"""What takes seconds to work out, kept between runs in the user's cache folder.

What is kept depends on nothing but what is named, the packages that work it out and this code.
All of them are in the name of the file it is kept in.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from convert.cache_folder import cache_folder

_ROOT = Path(__file__).parents[1]
OWN_CODE = ("convert", "passes", "targets")
"""Packages of this program that work out what targets keep."""


def remembered(
    what: str,
    packages: Sequence[str],
    make: Callable[[], Mapping[str, bytes]],
    *,
    files: Iterable[Path] = (),
    code: Sequence[str] = OWN_CODE,
) -> Mapping[str, bytes]:
    """What ``make`` returns, or returned for the same files, packages and code before.

    Nothing is kept where nothing can be written; what was damaged is made anew.

    Args:
        what: Name of the result, with every argument of ``make`` that is in none of ``files``.
        packages: Distributions whose versions matter; they need not be installed.
        make: Gives bytes by name. What it raises is not kept.
        files: What ``make`` reads.
        code: Folders of this program with the modules that matter.
    """
    path = cache_folder() / f"{_digest(what, packages, files, code)}.zip"
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


def _digest(what: str, packages: Sequence[str], files: Iterable[Path], code: Sequence[str]) -> str:
    versions = [(name, _version(name)) for name in packages]
    digest = hashlib.sha256(repr((what, versions)).encode())
    modules = [path for folder in code for path in sorted((_ROOT / folder).rglob("*.py"))]
    for path in (*modules, *files):
        data = path.read_bytes()
        digest.update(f"\n{path.name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
