"""The config.json of a BLOOM by the metadata of its GGUF."""

from __future__ import annotations

from typing import Any

from convert.gguf_keys import ArchitectureKeys
from convert.sources.gguf_file import GgufFile

_UNDERSTOOD = frozenset(
    {
        "vocab_size",
        "block_count",
        "context_length",
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.value_length",
        "attention.layer_norm_epsilon",
    }
)


def bloom_config(gguf: GgufFile, family: str) -> dict[str, Any]:
    """What only a BLOOM's configuration has.

    Args:
        gguf: The file.
        family: Its architecture.

    Raises:
        UnsupportedConfigError: A size differs from the one that every BLOOM has.
        BadHeaderError: A key is missing or has a value that it cannot have.
    """
    keys = ArchitectureKeys(gguf, family, _UNDERSTOOD)
    hidden, heads = keys.integer("embedding_length"), keys.integer("attention.head_count")
    keys.expect("feed_forward_length", 4 * hidden, "four times the embedding length")
    keys.expect("attention.head_count_kv", heads, "the number of heads")
    for key in ("attention.key_length", "attention.value_length"):
        keys.expect(key, hidden // heads, "the embedding length by the number of heads")
    return {
        "hidden_size": hidden,
        "n_layer": keys.integer("block_count"),
        "n_head": heads,
        "seq_length": keys.integer("context_length"),
        "layer_norm_epsilon": keys.number("attention.layer_norm_epsilon"),
    }
