"""Mistral: a Llama without biases whose layers all look back through one sliding window."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from convert.architectures.base import DecoderConfig
from convert.architectures.decoder import Decoder
from convert.architectures.dialect import ConfigReader
from convert.architectures.windows import require_layer_types


class Mistral(Decoder):
    """A window of null means full attention; a config without the key means 4096."""

    names = ("MistralForCausalLM",)
    family = "mistral"
    default_max_positions = 131072
    default_window: ClassVar[int | None] = 4096

    def kv_heads(self, reader: ConfigReader, heads: int) -> int:
        if reader.states("num_key_value_heads"):
            return super().kv_heads(reader, heads)
        return 8

    def features(self, reader: ConfigReader, config: DecoderConfig) -> DecoderConfig:
        window = self.default_window
        if reader.states("sliding_window"):
            window = reader.optional_integer("sliding_window")
        windows = (window,) * config.layers
        require_layer_types(reader, windows)
        return replace(config, windows=windows)
