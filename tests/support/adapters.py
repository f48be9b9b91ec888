"""LoRA adapters as peft saves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[np.float32]]


def save_adapter(folder: Path, tensors: Tensors, **config: Any) -> Path:
    """Write an adapter.

    Args:
        tensors: By their names in the model.
        config: What departs from rank 4 and alpha 8.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none", **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    whole = {f"base_model.model.{name}": each for name, each in tensors.items()}
    save_file(whole, folder / "adapter_model.safetensors")
    return folder


def factors(
    shapes: Mapping[str, tuple[int, ...]], rank: int = 4, seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """Random factors of updates of matrices, by module; an embedding's are transposed."""
    rng = np.random.default_rng(seed)
    found: dict[str, NDArray[np.float32]] = {}
    for module, (rows, columns) in shapes.items():
        down, up = rng.normal(0, 0.3, (rank, columns)), rng.normal(0, 0.3, (rows, rank))
        name = f"{module}.lora_%s.weight"
        if "embed" in module:
            name = f"{module}.lora_embedding_%s"
            down, up = up.T, down.T
        found[name % "A"] = np.ascontiguousarray(down, np.float32)
        found[name % "B"] = np.ascontiguousarray(up, np.float32)
    return found
