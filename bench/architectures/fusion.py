"""Which attention and rotations of a graph are one operator each in OpenVINO's compiled model."""

from __future__ import annotations

from collections import Counter
from typing import Any

import onnx_ir as ir

_ATTENTION, _ROTATION = "ScaledDotProductAttention", "RoPE"


def fused(compiled: Any, model: ir.Model, rotates: bool) -> tuple[list[int], list[int]]:
    """Attention and rotations of the compiled model, each as how many are fused, of how many.

    Args:
        compiled: By OpenVINO's CPU plugin.
        model: The imported graph.
        rotates: Whether the original rotates queries and keys. If the graph does not say where,
            none is fused of one.
    """
    kinds: Counter[str] = Counter()
    for node in compiled.get_runtime_model().get_ordered_ops():
        kinds[str(node.get_rt_info()["layerType"].astype(str))] += 1
    stated = Counter(node.op_type for node in model.graph)
    attention = sum(count for kind, count in kinds.items() if kind.startswith(_ATTENTION))
    rotations = stated["RotaryEmbedding"] or int(rotates)
    return (
        [min(attention, stated["Attention"]), stated["Attention"]],
        [min(kinds[_ROTATION], rotations), rotations],
    )


def rotates(model: Any) -> bool:
    """Whether a model of transformers rotates queries and keys, by its modules and its config."""
    if getattr(model.config, "alibi", False):
        return False  # it has a module that rotates, and does without
    if any("rotary" in type(module).__name__.lower() for module in model.modules()):
        return True
    config = model.config.get_text_config()
    return any(getattr(config, name, None) for name in ("rotary_dim", "rope_parameters", "rotary"))
