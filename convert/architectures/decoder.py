"""The decoder that all families share: its config, its parameters and its graph."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import onnx_ir as ir

from convert.architectures import blocks
from convert.architectures.base import Architecture, DecoderConfig, Shape
from convert.architectures.builder import GraphBuilder
from convert.architectures.dialect import ConfigReader
from convert.architectures.experts import expert_parameters, routed_mlp
from convert.architectures.filtering import filter_parameters, kept_tokens, localized_filter
from convert.architectures.masks import mask, slots
from convert.architectures.rope_dialect import DEFAULT_THETA, parse_rope
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

MOST_LAYERS = 10_000
"""More than any model has; a damaged config must not fill the memory."""


class Decoder(Architecture):
    """Pre-norm decoder with grouped-query attention, rotary positions and a gated MLP.

    The defaults below are those of the family's configuration class in transformers; a
    checkpoint's config.json may rely on them.
    """

    base_prefix = "model."
    family: ClassVar[str]
    default_max_positions: ClassVar[int]
    default_tied: ClassVar[bool] = False
    default_theta: ClassVar[float] = DEFAULT_THETA
    default_norm_eps: ClassVar[float] = 1e-6

    @abstractmethod
    def features(self, reader: ConfigReader, config: DecoderConfig) -> DecoderConfig:
        """Fill in what only this family has: windows, biases, norms."""

    def rearranged(
        self, config: DecoderConfig, weights: Mapping[str, Weight]
    ) -> Mapping[str, Weight]:
        """The weights as the graph wants them, where it is not as they are stored."""
        return weights

    def kv_heads(self, reader: ConfigReader, heads: int) -> int:
        """Key-value heads where the config may leave them out."""
        return reader.integer("num_key_value_heads", heads)

    def head_dim(self, reader: ConfigReader, hidden: int, heads: int) -> int:
        """Size of a head where the config may leave it out."""
        if reader.raw("head_dim") is None and hidden % heads:
            raise reader.broken("hidden_size", f"a multiple of num_attention_heads ({heads})")
        return reader.integer("head_dim", hidden // heads)

    def parse(self, config: Mapping[str, Any]) -> DecoderConfig:
        reader = ConfigReader(config)
        if reader.text("model_type", self.family) != self.family:
            raise reader.broken("model_type", f"{self.family}, as architectures says")
        layers = reader.integer("num_hidden_layers", maximum=MOST_LAYERS)
        hidden = reader.integer("hidden_size")
        heads = reader.integer("num_attention_heads")
        kv_heads = self.kv_heads(reader, heads)
        if heads % kv_heads:
            raise reader.broken("num_key_value_heads", f"a divisor of {heads} attention heads")
        head_dim = self.head_dim(reader, hidden, heads)
        if head_dim % 2:
            raise reader.unsupported("head_dim", "an even number: rotation pairs its halves")
        if reader.text("hidden_act", "silu") not in ("silu", "swish"):
            raise reader.unsupported("hidden_act", "silu")
        max_positions = reader.integer("max_position_embeddings", self.default_max_positions)
        common = DecoderConfig(
            family=self.family,
            layers=layers,
            hidden=hidden,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            ffn=reader.integer("intermediate_size"),
            vocab=reader.integer("vocab_size"),
            max_positions=max_positions,
            norm_eps=reader.number("rms_norm_eps", self.default_norm_eps),
            rope=parse_rope(reader, max_positions, self.default_theta),
            windows=(None,) * layers,
            tied=reader.flag("tie_word_embeddings", self.default_tied),
        )
        parsed = self.features(reader, common)
        reader.refuse_unread()
        return parsed

    def parameters(self, config: DecoderConfig) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {"model.embed_tokens.weight": (config.vocab, config.hidden)}
        for layer in range(config.layers):
            shapes |= _layer_parameters(config, layer)
        shapes["model.norm.weight"] = (config.hidden,)
        if not config.tied:
            shapes["lm_head.weight"] = (config.vocab, config.hidden)
        return shapes

    def build(self, config: DecoderConfig, weights: Mapping[str, Weight]) -> ir.Model:
        b = GraphBuilder(self.rearranged(config, weights))
        tokens = (BATCH, SEQUENCE)
        input_ids = b.input(INPUT_IDS, ir.DataType.INT64, tokens)
        attention_mask = b.input(ATTENTION_MASK, ir.DataType.INT64, (BATCH, TOTAL_SEQUENCE))
        position_ids = b.input(POSITION_IDS, ir.DataType.INT64, tokens)

        at = slots(b, input_ids, attention_mask)
        masks = {window: mask(b, at, window) for window in dict.fromkeys(config.windows)}
        assert config.rope is not None, "every family of this class rotates"
        turn = blocks.rotation(b, position_ids, config.rope, config.head_dim)
        kept = None
        if config.localized_filter:
            kept = kept_tokens(b, attention_mask, at.new)

        x = blocks.embedding(b, input_ids, "model.embed_tokens")
        for layer, window in enumerate(config.windows):
            x = _layer(b, x, layer, config, turn, masks[window], kept)
        x = blocks.rms_norm(b, x, "model.norm", config.norm_eps)
        head = "model.embed_tokens.weight" if config.tied else "lm_head.weight"
        logits = blocks.linear(b, x, "lm_head", weight=head, output=LOGITS)
        return b.model([logits], name=config.family)


def _layer(
    b: GraphBuilder,
    x: ir.Value,
    layer: int,
    config: DecoderConfig,
    turn: blocks.Rotation,
    allowed: ir.Value,
    kept: ir.Value | None,
) -> ir.Value:
    """``h = x + attention(norm(x))``, then ``h + mlp(norm(h))``."""
    scope = f"model.layers.{layer}"
    normed = blocks.rms_norm(b, x, f"{scope}.input_layernorm", config.norm_eps)
    filtered = None
    if kept is not None:
        filtered = localized_filter(b, normed, f"{scope}.self_attn.lf_gate", kept)
    mixed = blocks.attention(b, normed, f"{scope}.self_attn", config, turn, allowed, filtered)
    x = b.op("Add", x, mixed, name=f"{scope}.self_attn.Add")
    normed = blocks.rms_norm(b, x, f"{scope}.post_attention_layernorm", config.norm_eps)
    experts = config.experts
    if experts is not None and experts.layers[layer]:
        fed = routed_mlp(b, normed, f"{scope}.{experts.names.module}", experts)
    else:
        fed = blocks.gated_mlp(b, normed, f"{scope}.mlp", config)
    return b.op("Add", x, fed, name=f"{scope}.mlp.Add")


def _layer_parameters(config: DecoderConfig, layer: int) -> dict[str, Shape]:
    scope = f"model.layers.{layer}"
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    hidden, ffn = config.hidden, config.ffn
    shapes: dict[str, Shape] = {f"{scope}.input_layernorm.weight": (hidden,)}
    if config.localized_filter:
        shapes |= filter_parameters(f"{scope}.self_attn.lf_gate", hidden)

    def linear(name: str, out: int, columns: int, *, bias: bool) -> None:
        shapes[f"{scope}.{name}.weight"] = (out, columns)
        if bias:
            shapes[f"{scope}.{name}.bias"] = (out,)

    linear("self_attn.q_proj", queries, hidden, bias=config.qkv_bias)
    linear("self_attn.k_proj", keys, hidden, bias=config.qkv_bias)
    linear("self_attn.v_proj", keys, hidden, bias=config.qkv_bias)
    if config.qk_norm:
        shapes[f"{scope}.self_attn.q_norm.weight"] = (config.head_dim,)
        shapes[f"{scope}.self_attn.k_norm.weight"] = (config.head_dim,)
    linear("self_attn.o_proj", hidden, queries, bias=config.output_bias)
    shapes[f"{scope}.post_attention_layernorm.weight"] = (hidden,)
    if config.experts is not None and config.experts.layers[layer]:
        module = f"{scope}.{config.experts.names.module}"
        return shapes | expert_parameters(config.experts, module, hidden)
    linear("mlp.gate_proj", ffn, hidden, bias=config.mlp_bias)
    linear("mlp.up_proj", ffn, hidden, bias=config.mlp_bias)
    linear("mlp.down_proj", hidden, ffn, bias=config.mlp_bias)
    return shapes
