"""Where an artifact of several ranks keeps what."""

from __future__ import annotations

from pathlib import Path

DESCRIPTION = "tensor_parallel.json"


def has_ranks(artifact: Path) -> bool:
    """Whether an artifact is one of several ranks."""
    return (artifact / DESCRIPTION).is_file()


def rank_folder(rank: int) -> str:
    """Folder of a rank's files, within the artifact."""
    return f"rank-{rank}"
