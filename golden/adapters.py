"""LoRA adapters in the original model, by torch's own matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convert.adapters import Adapter, open_adapter
from convert.architectures import base_prefix
from convert.errors import TensorMismatchError
from convert.sources.shards import read_json_object
from convert.weights import Weight, read_float32


def merge_adapters(model: Any, folder: Path, adapters: Sequence[Path]) -> None:
    """Put adapters into a model's own parameters, one after the other.

    Args:
        model: Of transformers, in float32.
        folder: Of its checkpoint.
        adapters: Their folders.

    Raises:
        TensorMismatchError: One is for parameters that the model has not, or has otherwise.
        TricastError: See `convert.adapters.open_adapter`.
    """
    if not adapters:
        return
    import torch

    prefix = base_prefix(read_json_object(folder / "config.json"))
    own = dict(model.named_parameters(remove_duplicate=False))
    for path in adapters:
        adapter = open_adapter(path, prefix)
        with torch.no_grad():
            for name, weight in adapter.replaced.items():
                _parameter(own, name, adapter).copy_(_tensor(weight))
            for name, update in adapter.updates.items():
                product = _tensor(update.up) @ _tensor(update.down)
                added = product.T if update.transposed else product
                _parameter(own, name, adapter).add_(added, alpha=update.scale)


def _parameter(own: dict[str, Any], name: str, adapter: Adapter) -> Any:
    if name not in own:
        raise TensorMismatchError(
            f"the adapter {adapter.folder.name} is for another model",
            expected="parameters that transformers has by the same name",
            found=name,
        )
    return own[name]


def _tensor(weight: Weight) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(read_float32(weight)))
