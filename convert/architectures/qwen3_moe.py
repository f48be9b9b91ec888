"""Qwen3-MoE: a Qwen3 some or all of whose MLPs are mixtures of experts."""

from __future__ import annotations

from dataclasses import replace

from convert.architectures.base import DecoderConfig
from convert.architectures.dialect import ConfigReader
from convert.architectures.expert_dialect import qwen_experts
from convert.architectures.qwen2 import Qwen2
from convert.expert_tensors import ExpertNames


class Qwen3Moe(Qwen2):
    """A head's share of the hidden size is its size unless stated; a sliding window, where one is
    in use, is every layer's.
    """

    names = ("Qwen3MoeForCausalLM",)
    family = "qwen3_moe"
    expert_names = ExpertNames()
    default_kv_heads = 4

    def features(self, reader: ConfigReader, config: DecoderConfig) -> DecoderConfig:
        bias = reader.flag("attention_bias")
        reader.raw("max_window_layers")
        window: int | None = 4096
        if reader.states("sliding_window"):
            window = reader.optional_integer("sliding_window")
        if not reader.flag("use_sliding_window"):
            window = None
        experts = qwen_experts(reader, config.layers, count=128, used=8, ffn=768)
        return replace(
            config,
            windows=(window,) * config.layers,
            qk_norm=True,
            qkv_bias=bias,
            output_bias=bias,
            experts=experts,
        )
