"""Qwen3: a Qwen2 with an RMSNorm on each head's queries and keys, and optional biases."""

from __future__ import annotations

from dataclasses import replace

from convert.architectures.base import DecoderConfig
from convert.architectures.dialect import ConfigReader
from convert.architectures.qwen2 import Qwen2
from convert.architectures.windows import alternating_windows


class Qwen3(Qwen2):
    """The size of a head does not follow from the hidden size; it is 128 unless stated."""

    names = ("Qwen3ForCausalLM",)
    family = "qwen3"

    def head_dim(self, reader: ConfigReader, hidden: int, heads: int) -> int:
        return reader.integer("head_dim", 128)

    def features(self, reader: ConfigReader, config: DecoderConfig) -> DecoderConfig:
        bias = reader.flag("attention_bias")
        windows = alternating_windows(reader, config.layers)
        return replace(config, windows=windows, qk_norm=True, qkv_bias=bias, output_bias=bias)
