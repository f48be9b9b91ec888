"""What a repository of a hub holds of an earlier publication, and what else."""

from __future__ import annotations

import json
from typing import Any

from convert.errors import UsageError
from convert.manifest import COMPANIONS


def recorded_files(manifest: bytes) -> frozenset[str]:
    """What a published manifest names, and what accompanies it; empty if it is none of ours."""
    try:
        values: Any = json.loads(manifest)
        names = {str(file["path"]) for file in values["files"]}
        known = "tensors" in values and "gate" in values
    except (ValueError, KeyError, TypeError, RecursionError):
        return frozenset()
    return frozenset(names) | COMPANIONS if known else frozenset()


def require_own(where: str, foreign: frozenset[str]) -> None:
    """Refuse a repository with other things in it: a copy of it would not verify.

    Raises:
        UsageError: There are some.
    """
    if foreign:
        shown = ", ".join(sorted(foreign)[:5]) + (" ..." if len(foreign) > 5 else "")
        raise UsageError(
            f"{where} holds files that are not of an earlier publication",
            expected="a new repository, or one of an artifact",
            found=shown,
            remedy="choose another repository, or remove them",
        )
