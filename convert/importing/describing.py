"""What an imported graph says of itself: its sizes, as a `DecoderConfig`, and notes for binding."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import onnx_ir as ir

from convert.architectures.base import DecoderConfig
from convert.errors import UnsupportedArchitectureError
from convert.graph import LOGITS, attention_nodes
from convert.importing.skeleton import Skeleton

_CONFIG, _TIED, _IGNORED = "tricast.config", "tricast.tied", "tricast.ignored"
_WINDOW = re.compile(r"mask\.window_(\d+)\.")
_FFN = ("intermediate_size", "ffn_hidden_size", "ffn_dim", "n_inner", "d_ff", "inner_dim")


def describe(model: ir.Model, skeleton: Skeleton) -> None:
    """Write into a graph's metadata what else has to be known of the model.

    Raises:
        UnsupportedArchitectureError: No attention was recognised, so that nothing can be cached.
    """
    tied = {name: first for name, first in skeleton.aliases.items() if name != first}
    ignored = getattr(skeleton.model, "_keys_to_ignore_on_load_unexpected", None) or ()
    props = model.metadata_props
    props[_CONFIG] = json.dumps(asdict(_config(model, skeleton, bool(tied))), sort_keys=True)
    props[_TIED] = json.dumps(tied, sort_keys=True)
    props[_IGNORED] = json.dumps(sorted(ignored))


def described(model: ir.Model) -> DecoderConfig:
    """The sizes."""
    values = json.loads(model.metadata_props[_CONFIG])
    values["windows"] = tuple(values["windows"])
    return DecoderConfig(**values)


def tied_names(model: ir.Model) -> Mapping[str, str]:
    """Names of tied parameters, and of those that stand for them in the graph."""
    return dict(json.loads(model.metadata_props[_TIED]))


def is_ignored(model: ir.Model, name: str) -> bool:
    """Whether transformers drops a tensor of this name without a word."""
    patterns = json.loads(model.metadata_props[_IGNORED])
    return any(re.search(pattern, name) for pattern in patterns)


def _config(model: ir.Model, skeleton: Skeleton, tied: bool) -> DecoderConfig:
    nodes, config = attention_nodes(model), skeleton.model.config.get_text_config()
    if not nodes:
        raise UnsupportedArchitectureError(
            f"{type(skeleton.model).__name__} has no attention that was recognised",
            remedy="its layers remember what they have seen in a way of their own",
        )
    query, key = nodes[0].inputs[0], nodes[0].inputs[1]
    heads, kv_heads, head_dim = _size(query, 1), _size(key, 1), _size(key, 3)
    hidden = int(getattr(config, "hidden_size", 0) or heads * head_dim)
    logits = next(value for value in model.graph.outputs if value.name == LOGITS)
    norm = next((node for node in model.graph if "epsilon" in node.attributes), None)
    return DecoderConfig(
        family=str(skeleton.model.config.model_type),
        layers=len(nodes),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        ffn=_ffn(config, hidden),
        vocab=_size(logits, 2),
        max_positions=int(getattr(config, "max_position_embeddings", 0) or 1 << 20),
        norm_eps=norm.attributes["epsilon"].as_float() if norm is not None else 1e-5,
        rope=None,
        windows=tuple(_window(node.inputs[3]) for node in nodes),
        tied=tied,
        imported=True,
    )


def _size(value: ir.Value | None, axis: int) -> int:
    size = value.shape[axis] if value is not None and value.shape is not None else None
    if not isinstance(size, int):
        raise UnsupportedArchitectureError(
            "attention without a number of heads or a size of them",
            found=f"{value.name if value else None} of shape {value.shape if value else None}",
        )
    return size


def _ffn(config: Any, hidden: int) -> int:
    """Inner width of the MLP; of several, the first. It is used for estimates alone."""
    for name in _FFN:
        found = getattr(config, name, None)
        found = found[0] if isinstance(found, list | tuple) and found else found
        if isinstance(found, int) and found > 0:
            return found
    return 4 * hidden


def _window(mask: ir.Value | None) -> int | None:
    match = _WINDOW.match(str(mask.name)) if mask is not None else None
    return int(match.group(1)) if match else None
