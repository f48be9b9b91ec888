"""Access to OpenSSF's `model-signing`, which is installed only where artifacts are signed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from convert.errors import UsageError
from convert.manifest import SIGNATURE_NAME, STORES

if TYPE_CHECKING:
    from model_signing import hashing


def library(part: str) -> ModuleType:
    """A module of model-signing: ``signing`` or ``verifying``.

    Raises:
        UsageError: It is not installed.
    """
    try:
        return import_module(f"model_signing.{part}")
    except ImportError as error:
        raise UsageError(
            "signatures are made and checked by model-signing, which is not installed",
            found=str(error),
            remedy='pip install "tricast[sign]"',
        ) from error


def hashing_config(unsigned: Iterable[str] = ()) -> hashing.Config:
    """Hash every file of an artifact with SHA-256, but its signature and what hubs add to it.

    Args:
        unsigned: Files that the signature need not cover.
    """
    from model_signing import hashing

    left_out = [Path(name) for name in (SIGNATURE_NAME, *STORES, *unsigned)]
    config = hashing.Config().use_file_serialization(hashing_algorithm="sha256")
    # Hubs keep files as links into their caches; what a link leads to is hashed.
    return config.set_ignored_paths(paths=left_out).set_allow_symlinks(True)
