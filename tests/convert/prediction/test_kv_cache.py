"""Keys and values are counted by layers, whole heads, tokens and sequences."""

from __future__ import annotations

import pytest

from convert.prediction.kv_cache import KvCache
from tests.support.raw_configs import small_config


def test_llama_2_7b_has_half_a_megabyte_a_token():
    sizes = {"hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 32}
    cache = KvCache(small_config("llama", **sizes, num_hidden_layers=32), 1, 2)
    assert cache.token_bytes == 524_288
    assert cache.nbytes(1, 2304) == 1_207_959_552
    assert cache.read(1, 2304) == 1_207_959_552
    assert cache.nbytes(4, 10) == 40 * cache.token_bytes


@pytest.mark.parametrize(("devices", "heads"), [(1, 2), (2, 1), (3, 1), (6, 1)])
def test_devices_hold_whole_heads(devices, heads):
    config = small_config("llama")
    cache = KvCache(config, devices, 2)
    assert cache.token_bytes == 2 * config.layers * heads * config.head_dim * 2


def test_a_window_is_held_whole_and_read_in_part():
    cache = KvCache(small_config("mistral", sliding_window=16), 1, 2)
    assert cache.nbytes(1, 100) == 100 * cache.token_bytes
    assert cache.read(1, 100) == 16 * cache.token_bytes
    assert cache.read(1, 10) == 10 * cache.token_bytes


def test_a_filter_remembers_a_little_besides():
    config = small_config("yuan")
    cache = KvCache(config, 1, 2)
    filters = 1.5 * config.hidden * config.layers * 2
    assert cache.nbytes(2, 10) == 2 * (10 * cache.token_bytes + filters)
