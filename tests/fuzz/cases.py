"""A case is what a reader is given: a folder of small files, kept as one zip."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

Case = dict[str, bytes]
"""Contents by path below the folder."""

_TIME = (1980, 1, 1, 0, 0, 0)


def packed(case: Case, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Equal cases give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name in sorted(case):
            member = zipfile.ZipInfo(name, _TIME)
            member.compress_type = kind
            archive.writestr(member, case[name])
    return buffer.getvalue()


def unpacked(data: bytes) -> Case:
    """The case that was packed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(case: Case, folder: Path) -> Path:
    """Write the files into a folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in case.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def read(folder: Path) -> Case:
    """The files of a folder as a case."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
