"""Latent attention: its parts are found in a graph, split for llama.cpp, and put together again."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from convert.errors import UnsupportedConfigError
from convert.graph import parameters
from convert.importing.architecture import Imported
from convert.weights import read_float32
from passes.encodings import encoding
from targets.gguf.imported.absorbing import (
    fitted,
    latent_names,
    latent_pieces,
    latent_sizes,
    latent_tensors,
    require_places,
    scale_keys,
)
from targets.gguf.imported.facts import facts_of
from targets.gguf.imported.rotating import rotated_rows
from targets.gguf.imported.rotations import Rotation, Stated
from targets.gguf.imported.runs import RUNS
from targets.gguf.imported.yarn import Stretch, stretched
from tests.support.imported import imported_graph_of, original
from tests.support.models import small_model
from tests.targets.gguf.imported.models import config_of

DEEPSEEK = RUNS["deepseek_v3"]
STRETCH = Stretch(4.0, 64)


@pytest.fixture(scope="module")
def facts():
    model = small_model("llama", num_hidden_layers=1)
    return facts_of(model.graph(), model.config)


def scaled(facts, scale: float):
    return replace(facts, attentions=(replace(facts.attentions[0], scale=scale),))


@pytest.mark.parametrize(("times", "share"), [(1.0, 0.0), (1.3, 1.0), (1.2, 0.707)])
def test_one_number_for_cosines_and_one_for_products(facts, times: float, share: float) -> None:
    frequencies = stretched(10000.0, 8, STRETCH)
    rotation = Rotation(False, frequencies, times, Stated((10000.0,), (STRETCH,)))
    wanted = times * (1 + 0.1 * share * math.log(4))
    keys = dict(scale_keys(scaled(facts, wanted**2 * 8**-0.5), rotation, DEEPSEEK))
    # What llama.cpp makes of the keys; without the second it multiplies cosines itself.
    given = keys["rope_scaling_attn_factors"]
    effective = given if "rope_scaling_yarn_log_mul" in keys else given * STRETCH.inherent
    assert effective == pytest.approx(times)
    found = keys.get("rope_scaling_yarn_log_mul", 0.0) / 0.1
    assert found == pytest.approx(share, abs=1e-6)


def test_a_scale_of_another_kind_is_refused(facts) -> None:
    plain = Rotation(False, 10000.0 ** -(np.arange(0, 8, 2) / 8), 1.0)
    assert dict(scale_keys(facts, plain, DEEPSEEK)) == {"rope_scaling_attn_factors": 1.0}
    with pytest.raises(UnsupportedConfigError, match="queries and keys"):
        list(scale_keys(scaled(facts, 1.0), plain, DEEPSEEK))


def test_places_of_attention_are_held_to_the_architecture(facts) -> None:
    require_places(facts, RUNS["llama"])
    with pytest.raises(UnsupportedConfigError, match="not latent"):
        require_places(facts, DEEPSEEK)
    late = replace(facts.attentions[0].queries, rotated_from=4)
    with pytest.raises(UnsupportedConfigError, match="from their element 4 on"):
        moved = replace(facts, attentions=(replace(facts.attentions[0], queries=late),))
        require_places(moved, RUNS["llama"])
    assert not latent_names(facts, RUNS["llama"])
    assert not list(latent_tensors(facts, {}, RUNS["llama"]))


def test_rows_in_the_middle_of_a_head_are_turned() -> None:
    rows, two = np.arange(8).reshape(1, 8), Rotation(False, np.array([1.0, 0.1]), 1.0)
    assert rotated_rows(rows, two, DEEPSEEK, 4).tolist() == [[0, 1, 2, 3, 4, 6, 5, 7]]


def test_turned_rows_take_what_fits_them() -> None:
    names = {asked: fitted(encoding(asked), 128).name for asked in ("q4_k", "q8_0", "bf16")}
    assert names == {"q4_k": "q5_0", "q8_0": "q8_0", "bf16": "bf16"}


@pytest.mark.slow
def test_the_parts_of_latent_attention_are_found_and_come_back() -> None:
    raw = config_of("deepseek_v3", num_hidden_layers=1, first_k_dense_replace=1)
    graph = imported_graph_of(raw, original(raw))
    facts = facts_of(graph, Imported(raw, raw["architectures"][0]).parse(raw))
    (each,) = facts.attentions
    assert each.latent is not None
    assert each.inner is not None
    assert (each.latent.rank, each.latent.shared.shape, each.inner.rows) == (16, (1, 8), 24)
    assert (each.queries.rows.shape, each.queries.rotated_from) == ((6, 24), 16)
    assert (each.keys.rows.shape, each.values.rows.shape) == ((6, 16), (6, 12))
    sizes = dict(latent_sizes(facts, DEEPSEEK))
    assert (sizes["head_count_kv"], sizes["key_length"], sizes["value_length"]) == (1, 24, 16)
    assert (sizes["key_length_mla"], sizes["value_length_mla"]) == (24, 12)
    with pytest.raises(UnsupportedConfigError, match="1 layers"):
        require_places(facts, replace(DEEPSEEK, plain_queries_at=(1,)))
    held = parameters(graph)
    tensors = {one.name: one for one in latent_tensors(facts, held, DEEPSEEK)}
    whole = read_float32(held[each.keys.linear.name].weight)
    rebuilt = np.full_like(whole, np.nan)
    for piece in latent_pieces(facts, DEEPSEEK):
        assert piece.whole == each.keys.linear.name
        for number, (part, _) in enumerate(tensors[piece.stored].stacked):
            matrix = read_float32(part).T if piece.turned else read_float32(part)
            rebuilt[piece.rows(number, len(matrix))] = matrix
    np.testing.assert_array_equal(rebuilt, whole)
