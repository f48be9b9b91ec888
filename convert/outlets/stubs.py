"""What stays here of an artifact that went elsewhere: a folder of its name with its manifest."""

from __future__ import annotations

import shutil
from pathlib import Path

from convert.manifest import MANIFEST_NAME


def keep_manifest(folder: Path) -> None:
    """Remove everything else from an artifact's folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MANIFEST_NAME:
            path.unlink()


def is_stub(folder: Path) -> bool:
    """Whether a folder holds a manifest and nothing else, so that nothing is lost with it."""
    return folder.is_dir() and [path.name for path in folder.iterdir()] == [MANIFEST_NAME]
