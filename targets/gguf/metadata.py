"""The metadata of a GGUF: what the model is called, and the sizes that llama.cpp builds it from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from convert.architectures.base import DecoderConfig, Experts, Rope
from targets.base import Source
from targets.gguf.families import Family
from targets.gguf.file_types import number_of
from targets.gguf.tensors import StoredTensor

_SAMPLING = {
    "sampling_top_k": "top_k",
    "sampling_top_p": "top_p",
    "sampling_min_p": "min_p",
    "sampling_temp": "temperature",
    "sampling_penalty_repeat": "repetition_penalty",
}
"""Defaults of the generation config that llama.cpp reads, by attribute of gguf.Metadata."""


def add_general(
    writer: Any,
    source: Source,
    tensors: Sequence[StoredTensor],
    generation: Mapping[str, Any],
    asked: str | None = None,
) -> None:
    """Write the ``general.*`` keys: type, name, licence, parameters, kind of file.

    Args:
        writer: A gguf.GGUFWriter.
        source: The checkpoint; its model card, if any, gives licence, languages, base models.
        tensors: What the file holds.
        generation: ``generation_config.json``; empty if there is none.
        asked: The type of file or encoding that the recipe names.
    """
    import gguf

    # A label from the hub ends in @ and the commit, which is no part of the name.
    label = source.label.partition("@")[0]
    total = sum(math.prod(tensor.shape) for tensor in tensors)
    stacks = [tensor for tensor in tensors if tensor.stacked]
    count = max((len(tensor.stacked) for tensor in stacks), default=0)
    one = sum(math.prod(tensor.weight.shape) for tensor in stacks)
    about = gguf.Metadata.apply_metadata_heuristic(
        gguf.Metadata(),
        gguf.Metadata.load_model_card(source.folder),
        {},
        PurePosixPath(label),
        total,
    )
    about.name = about.name or label
    about.size_label = about.size_label or gguf.size_label(total, total - count * one, one, count)
    for attribute, key in _SAMPLING.items():
        setattr(about, attribute, generation.get(key))
    writer.add_type(gguf.GGUFType.MODEL)
    about.set_gguf_meta_model(writer)
    writer.add_file_type(number_of(asked, _most(tensors)))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def add_hyperparameters(writer: Any, config: DecoderConfig, family: Family) -> None:
    """Write the sizes, the norm's epsilon and the rotary embedding, if there is one."""
    writer.add_block_count(config.layers)
    writer.add_context_length(context_length(config))
    writer.add_embedding_length(config.hidden)
    writer.add_feed_forward_length(config.ffn)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_vocab_size(config.vocab)
    if family.layer_norm:
        writer.add_layer_norm_eps(config.norm_eps)
    else:
        writer.add_layer_norm_rms_eps(config.norm_eps)
    if config.rope is not None:
        writer.add_rope_dimension_count(config.head_dim)
        writer.add_rope_freq_base(config.rope.theta)
        _add_rope_scaling(writer, config.rope)
    window = smallest_window(config)
    if window is not None:
        writer.add_sliding_window(window)
    if config.experts is not None:
        _add_experts(writer, config.experts)


def _add_experts(writer: Any, experts: Experts) -> None:
    writer.add_expert_count(experts.count)
    writer.add_expert_used_count(experts.used)
    writer.add_expert_feed_forward_length(experts.ffn)
    if experts.shared_ffn is not None:
        writer.add_expert_shared_feed_forward_length(experts.shared_ffn)


def smallest_window(config: DecoderConfig) -> int | None:
    """Tokens that the layer with the shortest sliding window sees; None if all see everything."""
    return min((window for window in config.windows if window is not None), default=None)


def context_length(config: DecoderConfig) -> int:
    """Tokens for which llama.cpp computes what the model was trained to compute.

    llama.cpp attends to the whole context in these architectures, so a sliding window ends it.
    """
    window = smallest_window(config)
    return config.max_positions if window is None else min(window, config.max_positions)


def _add_rope_scaling(writer: Any, rope: Rope) -> None:
    import gguf

    if rope.kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope.factor)
    elif rope.kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope.factor)
        writer.add_rope_scaling_orig_ctx_len(rope.original_max_positions)
        writer.add_rope_scaling_yarn_beta_fast(rope.beta_fast)
        writer.add_rope_scaling_yarn_beta_slow(rope.beta_slow)
        # ggml multiplies cos and sin by this itself; the key holds what is left to multiply.
        inherent = 1 + 0.1 * math.log(rope.factor)
        if not math.isclose(rope.attention_factor, inherent, rel_tol=1e-6):
            writer.add_rope_scaling_attn_factors(rope.attention_factor / inherent)


def _most(tensors: Sequence[StoredTensor]) -> str:
    """The encoding that stores most weights."""
    weights: Counter[str] = Counter()
    for tensor in tensors:
        if len(tensor.shape) > 1:
            weights[tensor.encoding.name] += math.prod(tensor.shape)
    return weights.most_common(1)[0][0]
