"""BLOOM and BLOOMZ: linear biases for positions, LayerNorm, queries, keys and values in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from convert.architectures import blocks
from convert.architectures.alibi import biased_mask, linear_biases
from convert.architectures.base import Architecture, DecoderConfig, Shape
from convert.architectures.builder import GraphBuilder
from convert.architectures.decoder import MOST_LAYERS
from convert.architectures.dialect import ConfigReader
from convert.architectures.masks import mask, slots
from convert.graph import (
    ATTENTION_MASK,
    BATCH,
    INPUT_IDS,
    LOGITS,
    POSITION_IDS,
    SEQUENCE,
    TOTAL_SEQUENCE,
)
from convert.weights import Weight

_EMBEDDING = "transformer.word_embeddings"
_HEAD = "lm_head.weight"

_IGNORED = """
attention_softmax_in_fp32 bias_dropout_fusion masked_softmax_fusion offset_alibi skip_bias_add
skip_bias_add_qkv
"""
"""Switches of the framework that trained the model. transformers reads none of them."""

_TRAINED_LENGTH = 2048
"""Tokens that every BLOOM was trained on; a config need not say so."""


class Bloom(Architecture):
    """ALiBi instead of rotation; LayerNorm, also of the embedding; biases but for the head."""

    names = ("BloomForCausalLM",)
    base_prefix = "transformer."
    family = "bloom"

    def parse(self, config: Mapping[str, Any]) -> DecoderConfig:
        reader = ConfigReader(config)
        if reader.text("model_type", self.family) != self.family:
            raise reader.broken("model_type", f"{self.family}, as architectures says")
        layers = reader.integer_of("n_layer", "num_hidden_layers", maximum=MOST_LAYERS)
        hidden = reader.integer_of("hidden_size", "n_embed")
        heads = reader.integer_of("n_head", "num_attention_heads")
        if hidden % heads:
            raise reader.broken("hidden_size", f"a multiple of the {heads} attention heads")
        if reader.integer("n_inner", 4 * hidden) != 4 * hidden:
            raise reader.unsupported("n_inner", f"{4 * hidden}, four times the hidden size")
        _refuse_sliced_layers(reader)
        for key in _IGNORED.split():
            reader.raw(key)
        positions = reader.integer("max_position_embeddings", _TRAINED_LENGTH)
        parsed = DecoderConfig(
            family=self.family,
            layers=layers,
            hidden=hidden,
            heads=heads,
            kv_heads=heads,
            head_dim=hidden // heads,
            ffn=4 * hidden,
            vocab=reader.integer("vocab_size"),
            max_positions=reader.integer("seq_length", positions),
            norm_eps=reader.number("layer_norm_epsilon", 1e-5),
            rope=None,
            windows=(None,) * layers,
            activation="gelu_tanh",
            qkv_bias=True,
            output_bias=True,
            mlp_bias=True,
            tied=reader.flag("tie_word_embeddings", True),
            residual_of_norm=reader.flag("apply_residual_connection_post_layernorm"),
        )
        reader.refuse_unread()
        return parsed

    def parameters(self, config: DecoderConfig) -> dict[str, Shape]:
        hidden = config.hidden
        shapes: dict[str, Shape] = {f"{_EMBEDDING}.weight": (config.vocab, hidden)}

        def norm(scope: str) -> None:
            shapes[f"{scope}.weight"] = shapes[f"{scope}.bias"] = (hidden,)

        def linear(scope: str, rows: int, columns: int) -> None:
            shapes[f"{scope}.weight"] = (rows, columns)
            shapes[f"{scope}.bias"] = (rows,)

        norm(f"{_EMBEDDING}_layernorm")
        for scope in _layers(config):
            norm(f"{scope}.input_layernorm")
            linear(f"{scope}.self_attention.query_key_value", 3 * hidden, hidden)
            linear(f"{scope}.self_attention.dense", hidden, hidden)
            norm(f"{scope}.post_attention_layernorm")
            linear(f"{scope}.mlp.dense_h_to_4h", config.ffn, hidden)
            linear(f"{scope}.mlp.dense_4h_to_h", hidden, config.ffn)
        norm("transformer.ln_f")
        if not config.tied:
            shapes[_HEAD] = (config.vocab, hidden)
        return shapes

    def build(self, config: DecoderConfig, weights: Mapping[str, Weight]) -> ir.Model:
        b = GraphBuilder(weights)
        tokens = (BATCH, SEQUENCE)
        input_ids = b.input(INPUT_IDS, ir.DataType.INT64, tokens)
        attention_mask = b.input(ATTENTION_MASK, ir.DataType.INT64, (BATCH, TOTAL_SEQUENCE))
        # Nothing reads positions: the biases follow from the slots alone.
        b.input(POSITION_IDS, ir.DataType.INT64, tokens)

        at = slots(b, input_ids, attention_mask)
        allowed, biases = mask(b, at, None), linear_biases(b, at, config.heads)
        biased = biased_mask(b, allowed, biases, config.heads)
        x = blocks.embedding(b, input_ids, _EMBEDDING)
        x = blocks.layer_norm(b, x, f"{_EMBEDDING}_layernorm", config.norm_eps)
        for scope in _layers(config):
            x = _layer(b, x, scope, config, biased)
        x = blocks.layer_norm(b, x, "transformer.ln_f", config.norm_eps)
        head = f"{_EMBEDDING}.weight" if config.tied else _HEAD
        logits = blocks.linear(b, x, "lm_head", weight=head, output=LOGITS)
        return b.model([logits], name=config.family)


def _refuse_sliced_layers(reader: ConfigReader) -> None:
    """With both switches transformers sums two layers slice by slice, and omits their biases."""
    if reader.flag("slow_but_exact") and reader.integer("pretraining_tp", 1) > 1:
        raise reader.unsupported("slow_but_exact", "false, or a pretraining_tp of 1")


def _layers(config: DecoderConfig) -> list[str]:
    return [f"transformer.h.{layer}" for layer in range(config.layers)]


def _layer(
    b: GraphBuilder, x: ir.Value, scope: str, config: DecoderConfig, biased: ir.Value
) -> ir.Value:
    """``h = x + attention(norm(x))``, then ``h + mlp(norm(h))``.

    Where ``config.residual_of_norm`` says so, the norm's output is added instead of its input.
    """
    normed = blocks.layer_norm(b, x, f"{scope}.input_layernorm", config.norm_eps)
    mixed = _attention(b, normed, f"{scope}.self_attention", config, biased)
    kept = normed if config.residual_of_norm else x
    x = b.op("Add", kept, mixed, name=f"{scope}.self_attention.residual")
    normed = blocks.layer_norm(b, x, f"{scope}.post_attention_layernorm", config.norm_eps)
    fed = blocks.gelu_mlp(b, normed, f"{scope}.mlp")
    kept = normed if config.residual_of_norm else x
    return b.op("Add", kept, fed, name=f"{scope}.mlp.residual")


def _attention(
    b: GraphBuilder, x: ir.Value, scope: str, config: DecoderConfig, biased: ir.Value
) -> ir.Value:
    """Multi-head attention; the fused layer's outputs are ``[head, (query, key, value), D]``."""
    inner = f"{scope}.query_key_value"
    fused = blocks.cut_by_head(b, blocks.linear(b, x, inner, bias=True), inner, config.heads)
    fused = blocks.heads_first(b, fused, inner)
    parts = tuple(f"{scope}.{part}" for part in ("query", "key", "value"))
    shape = (BATCH, config.heads, SEQUENCE, config.head_dim)
    query, key, value = b.split(fused, parts, name=f"{inner}.Split", shape=shape, axis=-1)
    mixed = blocks.attend(b, query, key, value, biased, scope)
    return blocks.linear(b, mixed, f"{scope}.dense", bias=True)
