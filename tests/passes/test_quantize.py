"""The quantize pass: who gets which encoding, what is refused, and what the graph then computes."""

from dataclasses import replace

import numpy as np
import pytest

from convert.errors import RecipeError, UnsupportedEncodingError
from convert.graph import parameters
from convert.parameter import Parameter
from convert.weights import ArrayWeight
from passes.encodings import ENCODINGS, encoding
from passes.quantize import Policy, Quantize, coverage
from tests.support.models import position_ids, random_ids, small_model
from tests.support.ort import OrtGraph

EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
Q_PROJ, DOWN_PROJ = "model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight"
NORM, BIAS = "model.norm.weight", "model.layers.0.self_attn.q_proj.bias"


def policy(default="int8", **changes):
    settings = {
        "embeddings": default,
        "head": default,
        "overrides": (),
        "allowed": ENCODINGS,
        "fallbacks": ("int8_asym", "bf16"),
    }
    return Policy(default, **{**settings, **changes})


@pytest.fixture(scope="module")
def small():
    return small_model("qwen2", tie_word_embeddings=False)


def stored(model):
    return {tensor.name: tensor.encoding for tensor in coverage(model)}


def feed():
    ids = random_ids(2, 9, 101)
    ones = np.ones_like(ids)
    return {"input_ids": ids, "attention_mask": ones, "position_ids": position_ids(ones)}


def test_every_role_gets_its_encoding(small):
    model = small.graph()
    assert Quantize(policy("int4_g16", embeddings="int8", head="q8_0", vectors="f16"))(model)
    found = stored(model)
    assert found[EMBEDDINGS] == "int8"
    assert found[Q_PROJ] == "int4_g16"
    assert found[NORM] == found[BIAS] == "f16"
    assert len(found) == len(parameters(model))


def test_vectors_may_keep_the_float_type_of_the_checkpoint(small):
    model = small.graph()
    Quantize(policy(vectors=None))(model)
    assert stored(model)[NORM] == "f32"


def test_a_tied_embedding_is_an_embedding():
    model = small_model("llama", tie_word_embeddings=True).graph()
    Quantize(policy("int4_g16", embeddings="int8", head="bf16"))(model)
    assert HEAD not in stored(model)
    assert stored(model)[EMBEDDINGS] == "int8"


def test_the_first_override_that_matches_decides(small):
    model = small.graph()
    overrides = (("*.layers.0.*q_proj.weight", "bf16"), ("*q_proj.weight", "f16"))
    Quantize(policy(overrides=overrides))(model)
    found = stored(model)
    assert found[Q_PROJ] == "bf16"
    assert found[Q_PROJ.replace("0", "1")] == "f16"
    assert found[DOWN_PROJ] == "int8"


def test_applying_it_again_changes_nothing(small):
    model = small.graph()
    assert Quantize(policy("int4"))(model)
    assert not Quantize(policy("int4"))(model)
    assert Quantize(policy("int8"))(model)


def test_rows_that_do_not_divide_by_the_group_get_a_smaller_group_and_a_reason(small):
    model = small.graph()
    Quantize(policy("int4"))(model)
    tensors = {tensor.name: tensor for tensor in coverage(model)}
    assert tensors[Q_PROJ].encoding == "int4_g48"
    assert tensors[DOWN_PROJ].encoding == "int4_g72"
    assert tensors[DOWN_PROJ].fallback == "int4 does not fit rows of 72 weights"
    assert tensors[NORM].fallback is None


def test_fallbacks_are_tried_in_order(small):
    model = small.graph()
    Quantize(policy("q4_0", fallbacks=("q8_0", "int4_sym", "bf16")))(model)
    tensors = {tensor.name: tensor for tensor in coverage(model)}
    assert tensors[Q_PROJ].encoding == "int4_sym_g48"
    assert tensors[Q_PROJ].fallback == "q4_0 does not fit rows of 48 weights"


def test_what_the_target_has_not_is_replaced_by_its_kin():
    model = small_model("llama", hidden_size=96, intermediate_size=80).graph()
    asked = policy(
        "nf4_g32",
        embeddings="iq4_nl",
        allowed=("iq4_nl", "f32", "f16"),
        fallback_of={"nf4": "iq4_nl"},
        fallbacks=("f16",),
    )
    with pytest.raises(UnsupportedEncodingError, match="does not store nf4_g32"):
        Quantize(replace(asked, fallback_of={}))(model)
    with pytest.raises(UnsupportedEncodingError, match="has no nf4_g32"):
        Quantize(replace(asked, strict=True))(model)
    Quantize(asked)(model)
    tensors = {tensor.name: tensor for tensor in coverage(model)}
    reason = "the target has no nf4_g32, of which iq4_nl is the kin"
    found = {name: (tensors[name].encoding, tensors[name].fallback) for name in tensors}
    assert found[Q_PROJ] == ("iq4_nl", reason)
    assert found[DOWN_PROJ] == ("f16", reason)
    assert found[EMBEDDINGS] == ("iq4_nl", None)


def test_what_does_not_suit_the_default_takes_a_fallback_unless_an_override_names_it(small):
    model = small.graph()
    reasons = {DOWN_PROJ: "too rough", Q_PROJ: "too rough", EMBEDDINGS: "too rough"}
    asked = policy("w8a8", embeddings="int8", unsuited=reasons, overrides=((Q_PROJ, "w8a8"),))
    Quantize(asked)(model)
    tensors = {tensor.name: tensor for tensor in coverage(model)}
    left = {name: (each.encoding, each.fallback) for name, each in tensors.items() if each.fallback}
    assert left == {DOWN_PROJ: ("int8_asym", "too rough")}
    assert tensors[Q_PROJ].encoding == "w8a8"
    with pytest.raises(UnsupportedEncodingError, match="1 tensors do not fit") as caught:
        Quantize(replace(asked, strict=True))(small.graph())
    assert f"{DOWN_PROJ}: too rough" in str(caught.value.found)


def test_coverage_counts_bits_and_bytes_of_all_planes(small):
    model = small.graph()
    Quantize(policy("int4_g16"))(model)
    tensors = {tensor.name: tensor for tensor in coverage(model)}
    found = tensors[Q_PROJ]
    assert (found.shape, found.role) == ((48, 48), "linear")
    assert found.nbytes == 48 * (24 + 3 * 2) + 48 * 3 // 2
    assert found.bits_per_weight == 8 * found.nbytes / 48**2
    assert (tensors[EMBEDDINGS].role, tensors[NORM].role) == ("embedding", "other")


def test_coverage_of_an_unquantized_graph_is_its_storage(small):
    tensors = coverage(small.graph())
    assert {tensor.encoding for tensor in tensors} == {"f32"}
    assert {tensor.bits_per_weight for tensor in tensors} == {32.0}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"overrides": (("*.k_norm.*", "int8"),)}, RecipeError, r"'\*\.k_norm\.\*' matches no"),
        ({"default": "int5"}, UnsupportedEncodingError, "no encoding 'int5'"),
        ({"allowed": ("bf16", "f32")}, UnsupportedEncodingError, "does not store int8"),
        ({"default": "q4_0", "strict": True}, UnsupportedEncodingError, "14 tensors do not fit"),
        ({"default": "q4_0", "fallbacks": ("q8_0",)}, UnsupportedEncodingError, "nor a fallback"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_changed(small, changes, error, words):
    model = small.graph()
    settings = {"embeddings": "int8", "head": "int8", **changes}
    with pytest.raises(error, match=words):
        Quantize(policy(**settings))(model)
    assert all(parameter.encoding is None for parameter in parameters(model).values())


def test_a_strict_refusal_names_the_tensors_and_reasons(small):
    with pytest.raises(UnsupportedEncodingError) as caught:
        Quantize(policy("int4", strict=True))(small.graph())
    assert f"{DOWN_PROJ}: int4 does not fit rows of 72 weights" in str(caught.value)


def test_strict_accepts_what_fits(small):
    assert Quantize(policy("int8", strict=True))(small.graph())


def test_a_group_size_by_name_counts_as_its_family(small):
    model = small.graph()
    Quantize(policy("int4_g24", embeddings="int8", head="int8", allowed=("int4", "int8", "f32")))(
        model
    )
    assert stored(model)[Q_PROJ] == "int4_g24"


def test_the_pass_reads_no_weight(small, monkeypatch):
    model = small.graph()
    monkeypatch.setattr(ArrayWeight, "read_rows", lambda *_: pytest.fail("a weight was read"))
    Quantize(policy("int4"))(model)
    coverage(model)


@pytest.mark.parametrize(
    ("name", "largest_error"), [("bf16", 0.02), ("int8", 0.06), ("int4_g24", 0.5)]
)
def test_the_graph_computes_with_the_decoded_weights(small, name, largest_error):
    """Logits move by a bounded, nonzero amount, to those of weights quantized by hand."""
    model, by_hand = small.graph(), small.graph()
    before = OrtGraph(model)(**feed())["logits"]
    Quantize(policy(name))(model)
    after = OrtGraph(model)(**feed())["logits"]
    for key, parameter in parameters(by_hand).items():
        rows = parameter.weight.read_rows(0, parameter.weight.rows)
        chosen = encoding(name if rows.shape[1] > 1 else "f32")
        decoded = chosen.decode(chosen.reference(rows), *rows.shape).reshape(parameter.weight.shape)
        by_hand.graph.initializers[key].const_value = Parameter(ArrayWeight(key, decoded))
    expected = OrtGraph(by_hand)(**feed())["logits"]
    assert np.array_equal(after, expected)
    moved = np.sqrt(np.mean((after - before) ** 2)) / before.std()
    assert 1e-4 < moved < largest_error


def test_a_target_of_powers_of_two_gets_no_other_group(small):
    """Rows of 48 and 72 weights: groups of 48 and 24 divide them, 16 is the power of two."""
    asked = policy("int4_g48", embeddings="int8", head="int8")
    free, bound = small.graph(), small.graph()
    Quantize(asked)(free)
    Quantize(replace(asked, power_of_two_groups=True))(bound)
    assert (stored(free)[Q_PROJ], stored(free)[DOWN_PROJ]) == ("int4_g48", "int4_g36")
    assert (stored(bound)[Q_PROJ], stored(bound)[DOWN_PROJ]) == ("int4_g16", "int8_asym")
    reasons = {tensor.name: tensor.fallback for tensor in coverage(bound)}
    assert reasons[Q_PROJ] == "the target takes groups of a power of two only, not int4_g48"
    assert reasons[DOWN_PROJ] == "int4_g48 does not fit rows of 72 weights"


def test_a_target_of_one_group_size_gets_the_largest_that_fits_all():
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
    graph = small_model("llama", **sizes).graph()
    asked = policy("int4_sym_g64", power_of_two_groups=True)
    one = replace(asked, one_group_size=True)
    Quantize(asked)(graph)
    layers = [each for each in coverage(graph) if each.role == "linear"]
    assert {each.encoding for each in layers} == {"int4_sym_g64", "int4_sym_g32"}
    Quantize(one)(graph)
    layers = [each for each in coverage(graph) if each.role == "linear"]
    assert {each.encoding for each in layers} == {"int4_sym_g32"}
    assert all(each.fallback for each in layers)
    assert sum("one group size" in str(each.fallback) for each in layers) == 12
