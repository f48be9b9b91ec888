"""The open safetensors files of an artifact, and their tensors as float32."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_SCALE = "_scale"


class Shards:
    """Opens every safetensors file of a folder; reads a tensor at a time.

    Args:
        artifact: The folder.
        opened: Closes the files.
    """

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
    def names(self) -> tuple[str, ...]:
        """Names of all tensors."""
        return tuple(self._file_of)

    def tensor(self, name: str) -> NDArray[Any]:
        """A tensor as it is stored; not for FP8, which numpy lacks."""
        values: NDArray[Any] = self._files[self._file_of[name]].get_tensor(name)
        return values

    def decoded(self, name: str) -> Floats:
        """A tensor's values, times those of the scale beside it if there is one.

        The scale of ``M.weight`` is called ``M.weight_scale``. FP8 codes are decoded by torch.
        """
        values = self._float32(name)
        scale = f"{name}{_SCALE}"
        return values * self._float32(scale) if scale in self._file_of else values

    def _float32(self, name: str) -> Floats:
        path = self._file_of[name]
        if not self._files[path].get_slice(name).get_dtype().startswith("F8"):
            return self.tensor(name).astype(np.float32)
        if path not in self._by_torch:
            self._by_torch[path] = self._opened.enter_context(self._open(path, framework="pt"))
        decoded: Floats = self._by_torch[path].get_tensor(name).float().numpy()
        return decoded
