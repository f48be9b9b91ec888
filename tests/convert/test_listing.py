"""`convert list` shows what the registries hold."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from convert.listing import listing


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("recipes", "three-ways"),
        ("targets", "gguf"),
        ("passes", "kv_cache_static"),
        ("encodings", "int4_g64"),
        ("encodings", "q4_k_m"),
        ("architectures", "Qwen3ForCausalLM"),
    ],
)
def test_everything_listed_has_a_meaning(what, name):
    shown = dict(listing(what))
    assert name in shown
    assert all(shown.values())


def test_a_target_shows_its_options():
    assert "options split_max_size" in dict(listing("targets"))["gguf"]


def test_an_imported_type_shows_the_targets_that_take_it_by_name():
    shown = dict(listing("architectures"))
    assert "(granite); also for gguf" in shown["GraniteForCausalLM"]
    assert "gguf" not in shown["BertLMHeadModel"]


def test_bits_count_scales_that_rows_share_by_their_share():
    shown = dict(listing("encodings"))
    assert shown["nf4_dq"] == "4.127 bits a weight in rows of 4096"
    assert shown["int4_sym"] == "4.125 bits a weight in rows of 4096"


def test_other_things_cannot_be_listed():
    with pytest.raises(UsageError, match="cannot list 'songs'"):
        listing("songs")
