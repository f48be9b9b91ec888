"""The tensors of an artifact, mapped from its safetensors files."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor


def mapped_tensors(artifact: Path) -> dict[str, Tensor]:
    """Every tensor by name; nothing is read before it is used.

    Raises:
        OSError: A file cannot be read.
        safetensors.SafetensorError: It is damaged.
    """
    from safetensors import safe_open

    tensors: dict[str, Tensor] = {}
    for path in sorted(artifact.glob("*.safetensors")):
        with safe_open(path, framework="pt") as shard:
            tensors |= {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118
    return tensors
