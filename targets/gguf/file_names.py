"""How the files of a GGUF artifact are called: one, or shards as llama.cpp numbers them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

FILE = "model.gguf"
_FIRST_SHARD = "model-00001-of-*.gguf"


def is_first_file(name: str) -> bool:
    """Whether llama.cpp is given the file of this name."""
    return name == FILE or fnmatchcase(name, _FIRST_SHARD)


def first_file(artifact: Path) -> Path:
    """The file of an artifact that llama.cpp is given; by its name it finds the others."""
    return next(iter(sorted(artifact.glob(_FIRST_SHARD))), artifact / FILE)
