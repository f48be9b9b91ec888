"""The documents that follow from a manifest, written beside it and held against it.

The manifest is what a run writes and what everything here reads. The in-toto statement and the
bill of materials say the same to other programs; whoever changes one of the three without the
others is found out by `check_derived`, and whoever changes all three by the signature.
"""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from pathlib import Path
from typing import Any

from convert.differences.values import changes, short
from convert.errors import VerificationError
from convert.manifest import BOM_NAME, MANIFEST_NAME, STATEMENT_NAME, Manifest, read_manifest
from convert.provenance.bom import bill_of_materials
from convert.provenance.origins import tool_version
from convert.provenance.statement import statement

_SHOWN = 3


def derived_documents(manifest: Manifest, manifest_bytes: bytes) -> dict[str, bytes]:
    """The bytes of each document by its file name; equal manifests give equal bytes."""
    digest = hashlib.sha256(manifest_bytes).hexdigest()
    return {
        STATEMENT_NAME: _as_bytes(statement(manifest, digest)),
        BOM_NAME: _as_bytes(bill_of_materials(manifest, digest)),
    }


def write_derived(folder: Path) -> None:
    """Write the documents that follow from the manifest of the artifact in ``folder``.

    Raises:
        BrokenInputError: There is no manifest, or it is damaged.
    """
    manifest = read_manifest(folder)
    documents = derived_documents(manifest, (folder / MANIFEST_NAME).read_bytes())
    for name, data in documents.items():
        (folder / name).write_bytes(data)


def check_derived(folder: Path, manifest: Manifest) -> None:
    """Hold the documents beside a manifest against it; an artifact need not have them.

    Raises:
        VerificationError: One says something else than the manifest.
    """
    documents = derived_documents(manifest, (folder / MANIFEST_NAME).read_bytes())
    for name, expected in documents.items():
        path = folder / name
        if not path.exists() and not path.is_symlink():
            continue
        found = path.read_bytes() if path.is_file() else b""
        if found != expected:
            raise VerificationError(
                f"{name} and {MANIFEST_NAME} of {folder} contradict each other",
                expected="the statement and the bill of materials that follow from the manifest",
                found=_contradiction(expected, found),
                remedy="trust neither, get an undamaged copy; if Tricast "
                f"{tool_version(manifest) or 'of another version'} made them, verify with that",
            )


def _contradiction(expected: bytes, found: bytes) -> str:
    try:
        different = islice(changes(json.loads(expected), json.loads(found)), _SHOWN)
        said = [f"{one.place} is {short(one.after)}, not {short(one.before)}" for one in different]
        return "; ".join(said) or "the same in another layout"
    except (ValueError, RecursionError):
        return "no JSON"


def _as_bytes(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
