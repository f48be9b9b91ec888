"""Checkpoints as a model without its head saves itself: names without the base prefix."""

from __future__ import annotations

import json
from pathlib import Path

from convert.architectures import base_prefix
from convert.weights import read_float32
from tests.support.models import SmallModel

HEAD = "lm_head.weight"


def save_without_head(
    model: SmallModel, folder: Path, *, head: bool = False, suffix: str = ".safetensors"
) -> Path:
    """Write a checkpoint whose names lack the prefix.

    Args:
        head: Whether to store the head beside, tied or not.
        suffix: Of the weight file, ``.safetensors`` or ``.bin``.
    """
    import torch
    from safetensors.torch import save_file

    prefix = base_prefix(model.raw_config)
    tensors = {
        name.removeprefix(prefix): torch.from_numpy(read_float32(weight))
        for name, weight in model.weights.items()
        if name != HEAD
    }
    if head:
        tensors[HEAD] = model.torch_model.lm_head.weight.detach().clone()
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(model.raw_config))
    if suffix == ".bin":
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
