"""config.json, generation_config.json and checkpoints.json as the Gaudi stack reads them.

optimum-habana 1.20 runs on transformers 4.55, so config.json is in its dialect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convert.architectures.base import DecoderConfig
from targets.base import Source
from targets.companions import older_config
from targets.gaudi.options import GaudiOptions

GAUDI_GENERATION_KEYS = frozenset(
    {
        "trim_logits",
        "static_shapes",
        "ignore_eos",
        "attn_softmax_bf16",
        "limit_hpu_graphs",
        "clear_hpu_graphs_cache",
        "reuse_cache",
        "bucket_size",
        "bucket_internal",
        "reduce_recompile",
        "use_flash_attention",
        "flash_attention_recompute",
        "flash_attention_causal_mask",
        "flash_attention_fast_softmax",
        "use_flex_attention",
        "use_fused_rope",
        "valid_sequence_lengths",
        "attn_batch_split",
        "decode_attn_batch_split",
        "logits_bf16",
    }
)
"""What ``GaudiGenerationConfig`` adds (optimum-habana, generation/configuration_utils.py)."""

GENERATION_KEYS = frozenset(
    {
        "max_length",
        "max_new_tokens",
        "min_length",
        "min_new_tokens",
        "early_stopping",
        "max_time",
        "stop_strings",
        "do_sample",
        "num_beams",
        "num_beam_groups",
        "use_cache",
        "cache_implementation",
        "cache_config",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "typical_p",
        "epsilon_cutoff",
        "eta_cutoff",
        "diversity_penalty",
        "repetition_penalty",
        "encoder_repetition_penalty",
        "length_penalty",
        "no_repeat_ngram_size",
        "bad_words_ids",
        "renormalize_logits",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "remove_invalid_values",
        "exponential_decay_length_penalty",
        "suppress_tokens",
        "begin_suppress_tokens",
        "sequence_bias",
        "token_healing",
        "guidance_scale",
        "num_return_sequences",
        "pad_token_id",
        "bos_token_id",
        "eos_token_id",
        "transformers_version",
    }
)
"""Keys of a decoder's ``generation_config.json`` in transformers 4.55 and 5."""

REUSE_CACHE_FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Families for which optimum-habana's ``generate`` allows ``reuse_cache``; bloom is not one."""

CACHE_STEP = 128
"""Slots; `cache_bucket` gives multiples of it."""

MOST_DECODE_GRAPHS = 8
"""Lengths of the KV cache that ``generate`` captures a decoding step for."""

_DEFAULT_OPTIONS = GaudiOptions()
_TOKEN_KEYS = ("bos_token_id", "eos_token_id", "pad_token_id")


def model_config(source: Source) -> dict[str, Any]:
    """config.json of the BF16 checkpoint."""
    return older_config(source, "bfloat16")


def uses_fused_attention(config: DecoderConfig, options: GaudiOptions) -> bool:
    """Whether the written settings ask for FusedSDPA, the kernel that keeps no scores.

    It is asked for from Gaudi2 on, which optimum-habana's own examples use it on, and for models
    that optimum-habana has it for: not BLOOM.
    """
    return config.family in REUSE_CACHE_FAMILIES and options.card != "gaudi1"


def generation_settings(
    source: Source, original: Mapping[str, Any] | None, options: GaudiOptions = _DEFAULT_OPTIONS
) -> dict[str, Any]:
    """generation_config.json: the checkpoint's own settings, and what makes decoding static.

    ``static_shapes`` pads the inputs so that one captured graph serves every step;
    ``max_new_tokens`` fixes the length of the KV cache. Where optimum-habana's ``generate``
    allows it, ``reuse_cache`` allocates the cache once and writes it in place,
    ``bucket_internal`` lets attention read it up to the next multiple of ``bucket_size`` only,
    and ``trim_logits`` computes the head for the last token of the prompt only. The command
    line of run_generation.py overrides all of them; ``model.generate`` takes them from here.

    Args:
        original: generation_config.json of the checkpoint; None if it has none.
        options: The deployment.
    """
    if original is None:
        known = {key: source.raw_config[key] for key in _TOKEN_KEYS if key in source.raw_config}
        settings = {key: value for key, value in known.items() if value is not None}
    else:
        settings = {key: original[key] for key in original if key in GENERATION_KEYS}
    # Beside max_new_tokens it has no effect but a warning.
    settings.pop("max_length", None)
    context = options.context(source.config)
    settings["max_new_tokens"] = context - options.longest_prompt(source.config)
    settings["use_cache"] = True
    settings["static_shapes"] = True
    if source.config.family in REUSE_CACHE_FAMILIES:
        settings |= {"trim_logits": True, "reuse_cache": True}
        if context > CACHE_STEP:
            settings |= {"bucket_internal": True, "bucket_size": cache_bucket(context)}
    if uses_fused_attention(source.config, options):
        settings |= {"use_flash_attention": True, "flash_attention_recompute": True}
    return settings


def cache_bucket(context: int) -> int:
    """Slots by which the part of the KV cache that decoding reads grows: few graphs, each of
    which is captured once, and never much more than is filled.
    """
    steps = -(-context // CACHE_STEP)
    return -(-steps // MOST_DECODE_GRAPHS) * CACHE_STEP


def deepspeed_checkpoints(weight_files: Sequence[str]) -> dict[str, Any]:
    """checkpoints.json as optimum-habana's ``write_checkpoints_json`` has it, names relative.

    Every rank reads the full shards and slices them, so there is one list whatever the number
    of cards. optimum-habana writes its own from what it finds: every file in the folder and
    below whose name begins with ``model`` and ends in ``.safetensors``; or, if there is a single
    ``.bin`` file anywhere, every ``pytorch_model*.bin`` instead. So weights lie in no subfolder,
    and nothing ends in ``.bin``.
    """
    return {"type": "ds_model", "checkpoints": list(weight_files), "version": 1.0}
