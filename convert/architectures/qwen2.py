"""Qwen2 and Qwen2.5: a Llama with biases on the queries, keys and values."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from convert.architectures.base import DecoderConfig
from convert.architectures.decoder import Decoder
from convert.architectures.dialect import ConfigReader
from convert.architectures.windows import alternating_windows


class Qwen2(Decoder):
    """Sliding windows only where ``use_sliding_window`` asks for them."""

    names = ("Qwen2ForCausalLM",)
    family = "qwen2"
    default_max_positions = 32768
    default_kv_heads: ClassVar[int] = 32

    def kv_heads(self, reader: ConfigReader, heads: int) -> int:
        if reader.states("num_key_value_heads"):
            return super().kv_heads(reader, heads)
        return self.default_kv_heads

    def features(self, reader: ConfigReader, config: DecoderConfig) -> DecoderConfig:
        # transformers gives Qwen2 these biases whatever the config says about them.
        reader.flag("attention_bias")
        windows = alternating_windows(reader, config.layers)
        return replace(config, windows=windows, qkv_bias=True)
