"""Qwen2-MoE and Qwen1.5-MoE: a Qwen2 with experts, one of which all tokens visit."""

from __future__ import annotations

from dataclasses import replace

from convert.architectures.base import DecoderConfig
from convert.architectures.dialect import ConfigReader
from convert.architectures.expert_dialect import qwen_experts
from convert.architectures.qwen2 import Qwen2
from convert.architectures.windows import FULL, SLIDING, read_layer_types
from convert.expert_tensors import ExpertNames


class Qwen2Moe(Qwen2):
    """Sliding windows, where they are in use, are those of every second layer."""

    names = ("Qwen2MoeForCausalLM",)
    family = "qwen2_moe"
    expert_names = ExpertNames()
    default_kv_heads = 16

    def features(self, reader: ConfigReader, config: DecoderConfig) -> DecoderConfig:
        bias = reader.flag("qkv_bias", True)
        shared = reader.integer("shared_expert_intermediate_size", 5632)
        experts = qwen_experts(reader, config.layers, count=60, used=4, ffn=1408)
        if experts is not None:
            experts = replace(experts, shared_ffn=shared)
        windows = _windows(reader, config.layers)
        return replace(config, windows=windows, qkv_bias=bias, experts=experts)


def _windows(reader: ConfigReader, layers: int) -> tuple[int | None, ...]:
    """Without ``layer_types``, those of the first ``max_window_layers`` with an even number.

    Where no window is in use, transformers writes one of no tokens.
    """
    size: int | None = 4096
    if reader.states("sliding_window"):
        size = reader.optional_integer("sliding_window", minimum=0)
    last = reader.integer("max_window_layers", 28, minimum=0)
    window = size or None if reader.flag("use_sliding_window") else None
    kinds = read_layer_types(reader, layers)
    if kinds is None:
        sliding = [layer % 2 == 0 and layer < last for layer in range(layers)]
    else:
        sliding = [kind == SLIDING for kind in kinds]
        if window is None and any(sliding):
            raise reader.broken("layer_types", f"{FULL} alone, as no sliding window is in use")
    return tuple(window if each else None for each in sliding)
