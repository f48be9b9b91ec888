"""Artifacts of small models with their static programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convert.graph import parameters
from convert.weights import read_float32
from targets.gaudi.export import static_graph
from targets.gaudi.export_program import export_programs
from targets.gaudi.programs import ProgramRequest, TensorForm
from tests.support.models import SmallModel, small_model

FORMS = {"F32": "float32", "BF16": "bfloat16"}


def request_for(
    small: SmallModel, *, dtype: str = "F32", batch: int = 1, context: int, buckets: Sequence[int]
) -> ProgramRequest:
    """The programs of a small model whose weights are all stored in one dtype."""
    graph = static_graph(small.raw_config, batch=1, tokens=1, context=context)
    tensors = {name: TensorForm(dtype, one.weight.shape) for name, one in parameters(graph).items()}
    return ProgramRequest(small.raw_config, tensors, batch, context, tuple(buckets))


def with_programs(
    small: SmallModel | str, folder: Path, *, dtype: str = "F32", **sizes: Any
) -> Path:
    """Write config.json, weights as the graph wants them, and programs into ``folder``."""
    import torch
    from safetensors.torch import save_file

    model = small_model(small) if isinstance(small, str) else small
    asked = request_for(model, dtype=dtype, **sizes)
    (folder / "config.json").write_text(json.dumps(model.raw_config), encoding="utf-8")
    stored = {
        name: torch.from_numpy(np.ascontiguousarray(read_float32(one.weight)))
        for name, one in parameters(model.graph()).items()
    }
    kind = getattr(torch, FORMS[dtype])
    save_file(
        {name: tensor.to(kind) for name, tensor in stored.items()}, folder / "model.safetensors"
    )
    export_programs(asked, folder)
    return folder
