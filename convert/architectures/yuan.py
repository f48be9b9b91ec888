"""Yuan 2.0: queries and keys look through a localized filter, and are cut by head together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from convert.architectures.base import DecoderConfig
from convert.architectures.decoder import Decoder
from convert.architectures.dialect import ConfigReader
from convert.weights import RowRange, RowRanges, Weight

_PACKING = ("reset_attention_mask", "reset_position_ids", "use_loss_mask")
"""How training keeps documents apart that share a sequence; here a sequence is one document."""

_IDS = ("eod_token", "eod_token_id", "sep_token", "sep_token_id")


class Yuan(Decoder):
    """Multi-head attention without biases; the MLP's activation sits on ``up``."""

    names = ("YuanForCausalLM",)
    remote_classes = frozenset({"YuanConfig", "YuanModel", "YuanForCausalLM"})
    family = "yuan"
    default_max_positions = 8192
    default_tied = True

    def features(self, reader: ConfigReader, config: DecoderConfig) -> DecoderConfig:
        for key in ("auto_map", "dropout", "use_flash_attention", *_PACKING, *_IDS):
            reader.raw(key)
        if reader.flag("use_shareqk"):
            raise reader.unsupported(
                "use_shareqk", "false: queries and keys with projections of their own"
            )
        if not reader.flag("causal_mask", True):
            raise reader.unsupported("causal_mask", "true: a decoder")
        if config.kv_heads != config.heads:
            raise reader.unsupported("num_key_value_heads", "as many as num_attention_heads")
        width = config.heads * config.head_dim
        if reader.integer("attention_projection_size", width) != width:
            raise reader.unsupported("attention_projection_size", f"{width}, the hidden size")
        return replace(config, activated="up", localized_filter=True)

    def rearranged(
        self, config: DecoderConfig, weights: Mapping[str, Weight]
    ) -> Mapping[str, Weight]:
        arranged = dict(weights)
        for layer in range(config.layers):
            names = [f"model.layers.{layer}.self_attn.{part}_proj.weight" for part in "qk"]
            both = tuple(weights[name] for name in names)
            for part, name in enumerate(names):
                arranged[name] = _every_second_head(name, both, part, config)
        return arranged


def _every_second_head(
    name: str, both: tuple[Weight, ...], part: int, config: DecoderConfig
) -> RowRanges:
    """Queries (``part`` 0) or keys (1) of all heads.

    The outputs of ``q_proj`` and ``k_proj`` are joined and cut into one piece a head; the first
    half of a piece is the head's query, the second its key.
    """
    size, ranges = config.head_dim, []
    for head in range(config.heads):
        weight, piece = divmod(2 * head + part, config.heads)
        ranges.append(RowRange(both[weight], piece * size, (piece + 1) * size))
    return RowRanges(name, tuple(ranges))
