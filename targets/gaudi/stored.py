"""Reads a checkpoint for Gaudi back as float32: FP8 codes are decoded by torch, not by us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.ranks.description import read_description
from targets.ranks.folders import rank_folder
from targets.ranks.parts import put_together

Floats = NDArray[np.float32]

SCALES = ("weight_scale", "input_scale", "k_scale", "v_scale")
"""Last parts of the names of what is no parameter of the model."""

_SCALE = "_scale"


def stored_weights(artifact: Path) -> Iterator[tuple[str, Floats]]:
    """Every parameter of the checkpoint in ``artifact``, a tensor at a time.

    A tensor ``M.weight`` beside which there is ``M.weight_scale`` is multiplied by it.

    Yields:
        Name and values, shaped as in the checkpoint.
    """
    with ExitStack() as opened:
        shards = _Shards(artifact, opened)
        for name in shards.parameters:
            yield name, shards.decoded(name)


def stored_ranks(artifact: Path) -> Iterator[tuple[str, Floats]]:
    """Every parameter of an artifact of several ranks, put together from their parts.

    Yields:
        Name and values, shaped as in the checkpoint.

    Raises:
        TensorMismatchError: Ranks that store the same do not store it alike.
    """
    described = read_description(artifact)
    with ExitStack() as opened:
        ranks = [_Shards(artifact / rank_folder(rank), opened) for rank in range(described.ranks)]
        for name in ranks[0].parameters:
            parts = [rank.decoded(name) for rank in ranks]
            yield name, put_together(name, parts, described.weights.get(name))


class _Shards:
    """The open safetensors files of a checkpoint."""

    def __init__(self, artifact: Path, opened: ExitStack) -> None:
        import ml_dtypes  # noqa: F401 - teaches numpy bfloat16
        from safetensors import safe_open

        self._open, self._opened = safe_open, opened
        self._by_torch: dict[Path, Any] = {}
        self._file_of: dict[str, Path] = {}
        self._files: dict[Path, Any] = {}
        for path in sorted(artifact.glob("*.safetensors")):
            self._files[path] = opened.enter_context(safe_open(path, framework="numpy"))
            self._file_of |= dict.fromkeys(self._files[path].keys(), path)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all that is no scale."""
        return tuple(name for name in self._file_of if name.rpartition(".")[2] not in SCALES)

    def decoded(self, name: str) -> Floats:
        """A parameter's values."""
        values = self._float32(name)
        scale = f"{name}{_SCALE}"
        return values * self._float32(scale) if scale in self._file_of else values

    def _float32(self, name: str) -> Floats:
        path = self._file_of[name]
        if not self._files[path].get_slice(name).get_dtype().startswith("F8"):
            values: Floats = self._files[path].get_tensor(name).astype(np.float32)
            return values
        if path not in self._by_torch:  # numpy has no FP8
            self._by_torch[path] = self._opened.enter_context(self._open(path, framework="pt"))
        decoded: Floats = self._by_torch[path].get_tensor(name).float().numpy()
        return decoded
