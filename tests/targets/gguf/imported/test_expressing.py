"""What a graph computes becomes keys, tensors and orders of rows, or is refused by name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert.errors import UnsupportedArchitectureError, UnsupportedConfigError
from targets.gguf.families import family_of
from targets.gguf.imported.contents import TANH_NOTE, imported_contents
from targets.gguf.imported.expressing import keys_of
from targets.gguf.imported.facts import facts_of
from targets.gguf.imported.metadata import context_length, smallest_window
from targets.gguf.imported.rotating import (
    long_factors,
    rotary_factors,
    rotated_rows,
    rotation_keys,
)
from targets.gguf.imported.rotations import Longer, Rotation, Stated, stated
from targets.gguf.imported.runs import RUNS, runs_of
from targets.gguf.imported.tensors import stored_names, stored_tensors
from targets.gguf.imported.yarn import Stretch, stretched
from targets.gguf.target import GgufTarget
from targets.gguf.tensors import stored_tensors as hand_written
from tests.support.models import small_model
from tests.targets.gguf.checkpoints import request

LLAMA = RUNS["llama"]
FREQUENCIES = 10000.0 ** -(np.arange(0, 8, 2) / 8)


@pytest.fixture(scope="module")
def llama():
    return small_model("llama", num_hidden_layers=1, attention_bias=True)


@pytest.fixture(scope="module")
def facts(llama):
    return facts_of(llama.graph(), llama.config)


def attention_with(facts, **changes):
    return replace(facts, attentions=(replace(facts.attentions[0], **changes),))


def test_every_described_architecture_has_a_map_of_names() -> None:
    import gguf

    assert {runs.architecture for runs in RUNS.values()} <= set(gguf.MODEL_ARCH_NAMES.values())
    assert GgufTarget.imported_families == frozenset(RUNS)


def test_a_type_without_a_description_is_refused_by_name(llama) -> None:
    with pytest.raises(UnsupportedArchitectureError, match="'flint'"):
        runs_of("flint")
    assert runs_of("exaone4", 64).rotated == "windowed"
    assert runs_of("exaone4", 32).rotated == "all"
    imported = replace(llama.config, family="gemma2", imported=True)
    assert family_of(imported).architecture == "gemma2"


def test_tensors_are_those_of_the_hand_written_architecture(llama, facts) -> None:
    graph = llama.graph()
    names = stored_names(graph, llama.config, facts, LLAMA)
    found = stored_tensors(graph, llama.config, names, facts, LLAMA)
    expected = {t.name: t for t in hand_written(graph, llama.config, family_of(llama.config))}
    assert {each.name for each in found} == expected.keys()
    for each in found:
        np.testing.assert_array_equal(each.row_order, expected[each.name].row_order)


def test_keys_are_those_of_the_hand_written_architecture(llama, tmp_path) -> None:
    asked = request(llama, tmp_path)
    config = replace(asked.source.config, imported=True)
    contents = imported_contents(replace(asked, source=replace(asked.source, config=config)))
    written = dict[str, object]()

    class Writer:
        def __getattr__(self, name: str):
            return lambda *values: written.__setitem__(name.removeprefix("add_"), values[-1])

    contents.add_keys(Writer())
    assert contents.architecture == "llama"
    assert contents.notes == ()
    expected = {
        **{"context_length": 256, "embedding_length": 48, "block_count": 1},
        **{"feed_forward_length": 72, "head_count": 6, "head_count_kv": 2, "key_length": 8},
        **{"value_length": 8, "vocab_size": 101, "rope_dimension_count": 8},
        "rope_freq_base": 10000.0,
    }
    assert expected.items() <= written.items()


@pytest.mark.parametrize(
    ("changes", "feature"),
    [
        ({"norm": "layer"}, "norms"),
        ({"activation": "gelu_tanh"}, "activation other than gelu_tanh"),
        ({"embedding_scale": "root"}, "embeddings"),
        ({"final_cap": "always"}, "cap of the logits"),
        ({"attention_cap": "key"}, "cap of products"),
        ({"parallel": "yes"}, "one behind the other"),
        ({"sinks": True}, "absence of attention sinks"),
        ({"grouped": False}, "fewer heads of keys"),
    ],
)
def test_what_an_architecture_computes_otherwise_is_refused(llama, facts, changes, feature) -> None:
    with pytest.raises(UnsupportedConfigError, match=feature):
        keys_of(facts, llama.config, replace(LLAMA, **changes))


def test_norms_with_another_small_epsilon_than_most_are_taken_for_the_same(llama, facts) -> None:
    ((kind, epsilon),) = facts.norms
    several = replace(facts, norms={(kind, epsilon): 3, (kind, 1e-5): 1})
    assert dict(keys_of(several, llama.config, LLAMA))["layer_norm_rms_eps"] == epsilon
    with pytest.raises(UnsupportedConfigError, match="norms"):
        keys_of(replace(facts, norms={(kind, epsilon): 3, (kind, 1e-3): 1}), llama.config, LLAMA)


@pytest.mark.parametrize(
    ("changes", "feature"),
    [
        ({"residual_scales": frozenset({0.5})}, "outputs of layers"),
        ({"parallel": frozenset({True})}, "read the same"),
        ({"parallel": frozenset({True, False})}, "some layers"),
    ],
)
def test_what_a_graph_computes_otherwise_is_refused(llama, facts, changes, feature) -> None:
    with pytest.raises(UnsupportedConfigError, match=feature):
        keys_of(replace(facts, **changes), llama.config, LLAMA)


def test_attention_that_an_architecture_has_no_key_for_is_refused(llama, facts) -> None:
    for changes, feature in (({"scale": 1.0}, "queries and keys"), ({"cap": 5.0}, "cap of")):
        with pytest.raises(UnsupportedConfigError, match=feature):
            keys_of(attention_with(facts, **changes), llama.config, LLAMA)
    wide = replace(llama.config, hidden=96)
    with pytest.raises(UnsupportedConfigError, match="multiplied by"):
        keys_of(facts, wide, replace(LLAMA, wide_scale_at=1))
    assert keys_of(facts, wide, replace(LLAMA, wide_scale_at=2))
    with pytest.raises(UnsupportedConfigError, match="absence of sliding windows"):
        keys_of(facts, llama.config, replace(LLAMA, windows=True, needs_windows=True))
    limited = replace(facts.attentions[0].queries, limits=(-2.0, 2.0))
    with pytest.raises(UnsupportedConfigError, match="limits"):
        keys_of(attention_with(facts, queries=limited), llama.config, LLAMA)
    with pytest.raises(UnsupportedConfigError, match="attention sinks"):
        keys_of(attention_with(facts, sinks="sinks"), llama.config, LLAMA)
    with pytest.raises(UnsupportedConfigError, match="heads x head_dim"):
        keys_of(facts, wide, replace(LLAMA, free_head_dim=False))


def test_keys_of_what_architectures_do_express(llama, facts) -> None:
    capped = attention_with(facts, cap=5.0, window=16)
    runs = replace(LLAMA, attention_cap="key", windows=True, attention_scale=True)
    keys = dict(keys_of(capped, llama.config, runs))
    assert keys["attn_logit_softcapping"] == 5.0
    assert (keys["sliding_window"], keys["sliding_window_pattern"]) == (16, [True])
    assert keys["attention_scale"] == pytest.approx(8**-0.5)
    assert smallest_window(capped, runs) is None
    assert context_length(llama.config, capped, runs, ()) == 256
    assert context_length(llama.config, capped, LLAMA, ()) == 16


def test_rotations_are_refused_where_they_differ(facts) -> None:
    halves = facts.attentions[0].rotation
    with pytest.raises(UnsupportedConfigError, match="rotated positions in layer 0"):
        rotation_keys(facts, replace(LLAMA, rotation=None))
    with pytest.raises(UnsupportedConfigError, match="not rotated in layer 0"):
        rotation_keys(attention_with(facts, rotation=None), LLAMA)
    with pytest.raises(UnsupportedConfigError, match="differ between layers"):
        two = (
            facts.attentions[0],
            replace(facts.attentions[0], rotation=Rotation(True, halves.frequencies, 1.0)),
        )
        rotation_keys(replace(facts, attentions=two), LLAMA)
    uneven = Rotation(False, FREQUENCIES / np.array([1, 1, 2, 8]), 1.2)
    with pytest.raises(UnsupportedConfigError, match="scaling of the rotary frequencies"):
        rotation_keys(attention_with(facts, rotation=uneven), replace(LLAMA, factors=False))
    keys = dict(rotation_keys(attention_with(facts, rotation=uneven), LLAMA))
    assert (keys["rope_freq_base"], keys["rope_scaling_attn_factors"]) == (10000.0, 1.2)
    factors = rotary_factors(attention_with(facts, rotation=uneven), LLAMA)
    np.testing.assert_allclose(factors, [1, 1, 2, 8], rtol=1e-6)


def test_a_stretched_context_becomes_keys_of_yarn(facts) -> None:
    raw = {"rope_parameters": {"factor": 4.0, "original_max_position_embeddings": 64}}
    (stretch,) = stated(raw).stretches
    frequencies = stretched(10000.0, 8, stretch)
    plain = replace(LLAMA, factors=False)
    known = Rotation(False, frequencies, 1.3, Stated((10000.0,), (stretch,)))
    keys = dict(rotation_keys(attention_with(facts, rotation=known), plain))
    assert (keys["rope_freq_base"], keys["rope_scaling_factor"]) == (10000.0, 4.0)
    assert keys["rope_scaling_attn_factors"] == pytest.approx(1.3 / stretch.inherent)
    assert rotary_factors(attention_with(facts, rotation=known), plain) is None
    unknown = Rotation(False, frequencies, 1.3, Stated((10000.0,), (Stretch(5.0, 64),)))
    with pytest.raises(UnsupportedConfigError, match="scaling of the rotary frequencies"):
        rotation_keys(attention_with(facts, rotation=unknown), plain)


def test_rotations_of_longer_texts_become_two_tensors_of_factors(facts) -> None:
    stated_base = Stated((10000.0,))
    longer = Longer(300, FREQUENCIES / np.array([1.5, 2, 3, 4]))
    short = FREQUENCIES / np.array([1, 1.1, 1.2, 1.3])
    both = attention_with(facts, rotation=Rotation(False, short, 1.1, stated_base, longer))
    runs = replace(LLAMA, rotation="halves")
    keys = dict(rotation_keys(both, runs))
    assert (keys["rope_scaling_type"].value, keys["rope_scaling_orig_ctx_len"]) == ("longrope", 300)
    assert keys["rope_scaling_attn_factors"] == 1.1
    found = long_factors(both, runs)
    np.testing.assert_allclose(found["rope_factors_short.weight"], [1, 1.1, 1.2, 1.3], rtol=1e-6)
    np.testing.assert_allclose(found["rope_factors_long.weight"], [1.5, 2, 3, 4], rtol=1e-6)
    assert rotary_factors(both, runs) is None
    assert not long_factors(facts, runs)
    with pytest.raises(UnsupportedConfigError, match="longer texts"):
        rotation_keys(both, replace(runs, long_factors=False))


def test_rows_of_pairs_go_where_llama_cpp_has_them() -> None:
    rows = np.arange(12).reshape(2, 6)
    frequencies = np.array([1.0, 0.1])
    halves, in_turn = (Rotation(kind, frequencies, 1.0) for kind in (False, True))
    other = replace(LLAMA, rotation="halves")
    assert rotated_rows(rows, halves, LLAMA)[0].tolist() == [0, 2, 1, 3, 4, 5]
    assert rotated_rows(rows, in_turn, other)[1].tolist() == [6, 8, 7, 9, 10, 11]
    assert rotated_rows(rows, in_turn, LLAMA) is rows
    assert rotated_rows(rows, None, LLAMA) is rows


def test_a_tensor_that_the_map_does_not_cover_is_refused_by_name() -> None:
    model = small_model("qwen3", num_hidden_layers=1, head_dim=8)
    with pytest.raises(UnsupportedConfigError, match=r"q_norm\.weight"):
        stored_names(model.graph(), model.config, facts_of(model.graph(), model.config), LLAMA)


def test_a_bias_without_a_place_is_refused() -> None:
    model = small_model("qwen2", num_hidden_layers=1)
    facts = facts_of(model.graph(), model.config)
    lacking = replace(LLAMA, architecture="deepseek2")
    with pytest.raises(UnsupportedConfigError, match=r"q_proj\.bias"):
        stored_names(model.graph(), model.config, facts, lacking)


def test_a_head_is_written_where_llama_cpp_wants_one() -> None:
    tied = small_model("llama", num_hidden_layers=1, tie_word_embeddings=True)
    graph, facts = tied.graph(), facts_of(tied.graph(), tied.config)
    names = stored_names(graph, tied.config, facts, LLAMA)
    own = replace(LLAMA, head="own", needs=("ffn_up.bias",))
    found = {t.name: t for t in stored_tensors(graph, tied.config, names, facts, own)}
    assert found["output.weight"].weight is found["token_embd.weight"].weight
    assert found["blk.0.ffn_up.bias"].shape == (72,)
    untied = small_model("llama", num_hidden_layers=1)
    names = stored_names(untied.graph(), untied.config, facts, LLAMA)
    with pytest.raises(UnsupportedConfigError, match="embedding for a head"):
        stored_tensors(
            untied.graph(), untied.config, names, facts, replace(LLAMA, head="embedding")
        )


def test_the_note_about_gelu_says_how_far_it_is_off() -> None:
    assert "0.0005" in TANH_NOTE


def test_the_page_lists_every_type_and_no_other() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs" / "targets" / "gguf.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `([\w-]+)` \|$", page, re.MULTILINE)
    assert rows == [(name, RUNS[name].architecture) for name in sorted(RUNS)]
