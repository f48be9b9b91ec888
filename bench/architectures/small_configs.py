"""A small valid config of any model type, from the defaults of its class and the names of fields.

Sizes become small by what a field's name says it counts. Where layers differ, as many are kept as
there are kinds of them, up to four; where they do not, two.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from bench.architectures.overrides import OVERRIDES

VOCAB = 128
_HEAD_SIZE, _KV_HEADS = 16, 2
_MOST_LAYERS = 4

_LAYERS = (
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    *("decoder_layers", "num_decoder_layers"),
)
"""Names of the number of layers; lists of that length say something of each."""

_SIZES: tuple[tuple[str, int], ...] = (
    (r"hidden_size_per_layer_input|router_hidden_size", 16),
    (r".*vocab(_size|_size_base|_size_per_layer_input)?", VOCAB),
    (r"(.*_)?(moe|expert|experts|shared)(_.*)?_(intermediate_size|ffn_hidden_size)", 48),
    (r"(.*_)?(intermediate_size(_mlp)?|ffn_dim|ffn_hidden_size|dim_ff|feed_forward_size)", 96),
    (r"dff|n_inner|d_inner|mlp_dim", 96),
    (r"(.*_)?(hidden_size(_global)?|d_model|n_embd|embed_dim|emb_dim|embedding_(dim|size))", 64),
    (
        r"dim_model_base|lru_width|word_embed_proj_dim|out_hidden_size|projection_dim",
        64,
    ),
    (r"adapter_(in_dim|out_dim|input_size)", 64),
    (r"mamba_d_ssm", 128),
    (r"(encoder|num_encoder|num)_layers|depth|n_layer|n_layers", 2),
    (r"mamba_n_heads|mamba_num_heads|n_mamba_heads", 8),
    (r"(.*_)?(key_value_heads|kv_heads|kv_n_heads|num_key_heads)", 2),
    (r"(.*_)?(attention_heads|n_heads?|num_heads|num_value_heads)(_per_layer)?", 4),
    (r"qk_rope_head_dim|rotary_dim", 8),
    (r"(.*_)?(head_dim|head_size|dim_head|d_head|d_kv|kv_channels)", 16),
    (r".*(_rank|lowrank)", 16),
    (r"(.*_)?(num_experts|local_experts|routed_experts)", 8),
    (r"num_experts_per_tok|moe_topk|moe_top_k|moe_k|top_k_experts|index_topk_blocks", 2),
    (r"(.*_)?shared_experts|topk_group|interleave_moe_layer_step", 1),
    (r"n_group|zero_expert_num|.*_layer_period|.*_layer_interval|layer_group_size", 2),
    (r"first_k_dense_replace|num_dense_layers|.*_layer_offset|max_window_layers", 1),
    (r".*every_n_layers|.*sliding_window_pattern|n_layers_per_attn_res_block", 2),
    (r"full_attention_interval", 2),
    (r"(.*_)?(sliding_window|window_size|sliding_window_size|window_len|index_topk)", 4),
    (r"local_attention|index_block_size|attention_chunk_size", 4),
    (r".*chunk_size", 8),
    (r"(.*_)?(state_size|d_state)", 8),
    (r"(mamba_)?n_?groups", 1),
    (r"image_size", 32),
    (r"(spatial_|temporal_)?patch_size", 8),
    (r"n_positions|n_ctx|max_seq_len|context_length|max_(target|source)_positions", 256),
)
"""A field whose whole name fits, and what it is at most; the first that fits counts."""

_TOKEN = re.compile(r".*(token_id|token_index|_tokens?|token_ids|_index)")


def small_config(kind: str) -> Any:
    """A config object of a model type, as transformers makes it from its config.json."""
    from transformers import CONFIG_MAPPING

    config_class = CONFIG_MAPPING[kind]
    values = merged(Shrinking().shrunk(stated(config_class)), OVERRIDES.get(kind, {}))
    return config_class.from_dict(values)


def part_for(model_class: Any, config: Any) -> Any:
    """A config, or the part of it that a class of models is made from."""
    wanted = model_class.config_class
    parts = [config, *(getattr(config, name, None) for name in config.sub_configs)]
    return next((each for each in parts if type(each) is wanted), config)


def special_ids(config: Any) -> frozenset[int]:
    """Ids that mean something to a model; random prompts have none of them."""
    return frozenset(_token_ids(config.to_dict()))


def stated(config_class: Any) -> dict[str, Any]:
    """The fields of a config class that do not follow from others, and lists of its layers.

    Configs within it are mappings of the same kind.
    """
    fields = dataclasses.fields(config_class)
    whole = _values(config_class(), [each.name for each in fields])
    found: dict[str, Any] = {}
    for each in fields:
        name, value = each.name, whole.get(each.name)
        if value is not None and hasattr(value, "to_dict"):
            found[name] = {"model_type": value.model_type, **stated(type(value))}
        elif name in _LEFT_OUT:
            continue
        elif is_per_layer(value, whole) or each.default is dataclasses.MISSING:
            found[name] = value
        elif each.default is not None:
            found[name] = each.default
    return {**found, **_filled(whole)}


def _values(config: Any, names: Iterable[str]) -> dict[str, Any]:
    found = {}
    for name in names:
        try:
            found[name] = getattr(config, name)
        except Exception:  # a number that each layer has its own of
            continue
    return found


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes that a class leaves open, and that small models should state."""
    found: dict[str, Any] = {}
    heads, size = values.get("num_key_value_heads", ...), "head_dim"
    if heads is not ... and "kv_lora_rank" not in values:
        found["num_key_value_heads"] = heads or _KV_HEADS
    if size in values and values[size] is None:
        found[size] = _HEAD_SIZE
    return found


_LEFT_OUT = ("transformers_version", "dtype", "torch_dtype", "architectures")


class Shrinking:
    """Makes values small; counts the ids that it had to move into the vocabulary."""

    def __init__(self) -> None:
        self._moved = 0

    def shrunk(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a config, small."""
        kept = _kept_layers(values)
        small: dict[str, Any] = {}
        for key, value in values.items():
            if kept is not None and key in _LAYERS:
                small[key] = len(kept)
            elif kept is not None and is_per_layer(value, values):
                small[key] = [self._value(key, value[place]) for place in kept]
            else:
                small[key] = self._value(key, value)
        longest = values.get("max_position_embeddings")
        if isinstance(longest, int) and "original_max_position_embeddings" not in repr(values):
            small["max_position_embeddings"] = min(longest, 256)
        if "is_decoder" in small:
            small["is_decoder"] = True
        if "kv_lora_rank" in small:
            small |= _of_latent_attention(small)
        return small

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self.shrunk(value)
        if isinstance(value, list | tuple):
            return [self._value(key, each) for each in value]
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        if _TOKEN.fullmatch(key) and value >= VOCAB:
            self._moved += 1
            return VOCAB - self._moved
        for pattern, size in _SIZES:
            if re.fullmatch(pattern, key):
                return min(value, size)
        return value


def _of_latent_attention(small: Mapping[str, Any]) -> dict[str, Any]:
    """Keys and values are made for every head, and only a part of a head is rotated."""
    same = {
        "num_key_value_heads": small.get("num_attention_heads"),
        "head_dim": small.get("qk_rope_head_dim"),
    }
    return {key: value for key, value in same.items() if key in small and value is not None}


def _number_of_layers(values: Mapping[str, Any]) -> int | None:
    return next((values[key] for key in _LAYERS if isinstance(values.get(key), int)), None)


def is_per_layer(value: Any, values: Mapping[str, Any]) -> bool:
    """Whether a value of a config is a list that says something of each layer."""
    return isinstance(value, list | tuple) and len(value) == _number_of_layers(values)


def _kept_layers(values: Mapping[str, Any]) -> list[int] | None:
    """The first layer of each kind, by all lists that say something of each layer."""
    number = _number_of_layers(values)
    if number is None or number <= _MOST_LAYERS:
        return None
    lists = [value for value in values.values() if is_per_layer(value, values)]
    first: dict[str, int] = {}
    for layer in range(number):
        first.setdefault(repr([each[layer] for each in lists]), layer)
    kept = sorted(first.values())[:_MOST_LAYERS]
    return kept if len(kept) > 1 else [0, 1]


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values with changes, in the mappings within them too; a change to `...` removes a key."""
    made = dict(values)
    for key, value in changes.items():
        old = made.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            made[key] = merged(old, value)
        else:
            made[key] = value
        if value is ...:
            del made[key]
    return made


def _token_ids(values: Any, named: bool = False) -> set[int]:
    if isinstance(values, Mapping):
        found = (
            _token_ids(value, bool(_TOKEN.fullmatch(str(key)))) for key, value in values.items()
        )
        return set().union(*found)
    if isinstance(values, list | tuple):
        return set().union(*(_token_ids(each, named) for each in values))
    return {values} if named and isinstance(values, int) else set()
