"""A BLOOM's sizes come from its metadata; those that it cannot have are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.errors import BadHeaderError, UnsupportedConfigError
from convert.gguf_bloom_config import bloom_config
from convert.sources.gguf_file import GgufFile

METADATA = {
    "bloom.block_count": 3,
    "bloom.context_length": 512,
    "bloom.embedding_length": 48,
    "bloom.feed_forward_length": 192,
    "bloom.attention.head_count": 6,
    "bloom.attention.layer_norm_epsilon": 1e-4,
}


def config(**changed):
    metadata = {**METADATA, **{f"bloom.{key}": value for key, value in changed.items()}}
    return bloom_config(GgufFile(Path("a.gguf"), 3, metadata, {}), "bloom")


def test_sizes():
    assert config() == {
        "hidden_size": 48,
        "n_layer": 3,
        "n_head": 6,
        "seq_length": 512,
        "layer_norm_epsilon": 1e-4,
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"feed_forward_length": 96},
        {"attention.head_count_kv": 2},
        {"attention.key_length": 16},
        {"attention.value_length": 16},
        {"attention.sliding_window": 64},
        {"rope.freq_base": 10000.0},
    ],
    ids=str,
)
def test_what_no_bloom_has_is_refused(changed):
    with pytest.raises(UnsupportedConfigError, match=next(iter(changed))):
        config(**changed)


def test_an_epsilon_must_be_there():
    metadata = {key: value for key, value in METADATA.items() if "epsilon" not in key}
    with pytest.raises(BadHeaderError, match="layer_norm_epsilon is missing"):
        bloom_config(GgufFile(Path("a.gguf"), 3, metadata, {}), "bloom")
