"""Llama 2, 3, 3.1, 3.3 and what shares their form (TinyLlama, SmolLM2)."""

from __future__ import annotations

from dataclasses import replace

from convert.architectures.base import DecoderConfig
from convert.architectures.decoder import Decoder
from convert.architectures.dialect import ConfigReader
from convert.architectures.windows import require_layer_types


class Llama(Decoder):
    """Optional biases on all of attention and on the MLP."""

    names = ("LlamaForCausalLM",)
    family = "llama"
    default_max_positions = 2048

    def features(self, reader: ConfigReader, config: DecoderConfig) -> DecoderConfig:
        require_layer_types(reader, config.windows)
        bias = reader.flag("attention_bias")
        mlp_bias = reader.flag("mlp_bias")
        return replace(config, qkv_bias=bias, output_bias=bias, mlp_bias=mlp_bias)
