"""A file of moments, kept beside the artifacts of a run for the next one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from convert.weights import Floats

_KEPT = "kept"
"""The one key of the file's metadata, all else as JSON: several have no order of their own."""


@dataclass(frozen=True)
class KeptMoments:
    """Moments by name of the weight, and the digest of the checkpoint that they are of; by name of
    an expert, how many tokens it has seen.
    """

    moments: Mapping[str, Floats]
    digest: str
    visits: Mapping[str, int] = field(default_factory=dict)


def save(path: Path, kept: KeptMoments) -> None:
    """Write a file, which appears under its name only when it is complete."""
    from safetensors.numpy import save as to_bytes

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        beside = json.dumps({"checkpoint": kept.digest, "visits": kept.visits}, sort_keys=True)
        file.write(to_bytes(dict(kept.moments), {_KEPT: beside}))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path, features: Mapping[str, int]) -> KeptMoments | None:
    """Read a file; None if there is none, or not a whole one.

    Args:
        features: How many numbers there must be for each weight, by name.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            beside = json.loads((file.metadata() or {})[_KEPT])
            moments = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            digest, visits = beside["checkpoint"], beside["visits"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    shapes = {name: (count,) for name, count in features.items()}
    if {name: each.shape for name, each in moments.items()} != shapes:
        return None
    if not all(np.isfinite(each).all() and (each >= 0).all() for each in moments.values()):
        return None
    return KeptMoments(moments, digest, visits)


def moments_digest(moments: Mapping[str, Floats]) -> str:
    """SHA-256 of names and values."""
    digest = hashlib.sha256()
    for name in sorted(moments):
        values = np.ascontiguousarray(moments[name], "<f4")
        digest.update(f"{name} {values.size}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
