"""A mix reaches its goal with the fewest bytes, or the lowest cost, as the slots allow."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from convert.errors import UnsupportedEncodingError, UsageError
from convert.graph import Role, parameters
from convert.mixing import Mixing, measured_encodings
from convert.mixing_artifacts import with_mix, without_mix
from convert.mixing_candidates import candidate_names, slots
from convert.mixing_measure import together
from convert.preparation import resolve_encoding, stored_graph
from convert.recipe import Artifact, Override
from passes.calibration.sensitivity import Sensitivity
from passes.quantize import coverage
from targets import target
from tests.support.models import small_model

FORMAT, QUERY = "openvino", "model.layers.0.self_attn.q_proj.weight"
KLD = {"nf4": 0.05, "int4": 0.04, "int8": 0.001, "bf16": 0.0001, "f16": 0.0, "f32": 0.0}


@pytest.fixture(scope="module")
def model():
    return small_model("llama", hidden_size=64, intermediate_size=96, num_attention_heads=4)


def costs(found):
    """Of each slot as if measured; down_proj costs ten times as much as others."""

    def of(slot, candidate):
        known = next(cost for name, cost in KLD.items() if candidate.name.startswith(name))
        return known * (10 if "down_proj" in slot.name else 1) * candidate.bits_per_weight(64) / 8

    return {
        slot.name: Sensitivity({}, {each.name: of(slot, each) for each in slot.candidates})
        for slot in found
    }


def opened(model, format=FORMAT, **description):
    artifact = resolve_encoding(Artifact(format=format, **description))
    stored = stored_graph(model.raw_config, model.config, model.weights, artifact, strict=False)
    return artifact, stored, slots(stored, model.graph(), target(format), artifact)


def mixing(model, joint=lambda encodings: 0.0, fused=(), **description):
    artifact, stored, found = opened(model, **description)
    made = Mixing(stored, found, costs(found), fused, joint, 7)
    return made.choose(artifact), stored


def test_a_mix_uses_its_bits_and_no_more(model):
    mix, stored = mixing(model, target_bits=6)
    elements = sum(each.weight.rows * each.weight.columns for each in parameters(stored).values())
    assert 5.8 < mix.bits <= 6
    assert mix.bits == pytest.approx(8 * mix.nbytes / elements)
    assert len({weight.encoding for weight in mix.weights}) > 1
    by_name = {weight.name: weight for weight in mix.weights}
    for layer in (0, 1):
        down = by_name[f"model.layers.{layer}.mlp.down_proj.weight"]
        up = by_name[f"model.layers.{layer}.mlp.up_proj.weight"]
        assert down.nbytes >= up.nbytes


def test_more_bits_never_cost_more(model):
    predicted = [mixing(model, target_bits=bits)[0].predicted for bits in (5.5, 7, 9, 16, 40)]
    assert predicted == sorted(predicted, reverse=True)
    assert predicted[-1] == pytest.approx(0, abs=1e-12)


def test_an_artifact_is_stored_as_its_mix_says(model):
    mix, _ = mixing(model, target_bits=7)
    artifact, _, _ = opened(model, target_bits=7)
    named = with_mix(artifact, mix)
    stored = stored_graph(model.raw_config, model.config, model.weights, named, strict=True)
    covered = {one.name: one for one in coverage(stored)}
    assert {one.name: one.encoding for one in mix.weights}.items() <= {
        name: one.encoding for name, one in covered.items()
    }.items()
    assert sum(one.nbytes for one in covered.values()) == mix.nbytes
    assert all(one.fallback is None for one in covered.values())
    assert named.encoding == mix.lowest
    assert without_mix(named, artifact) == artifact
    plain = Artifact(format="onnx", encoding="int8")
    assert with_mix(plain, None) is plain
    assert without_mix(plain, plain) is plain


def test_too_few_bits_are_refused_with_the_fewest(model):
    with pytest.raises(UsageError, match="no mix has 1 bits") as caught:
        mixing(model, target_bits=1)
    assert "at least 4." in str(caught.value)


@pytest.mark.parametrize("off", [0.5, 1.0, 2.5])
def test_costs_that_do_not_add_up_are_corrected_for(model, off):
    """As far as the model of the test goes, the true cost is always ``off`` times the sum."""
    _, _, found = opened(model, max_kld=0.2)
    known = costs(found)

    def joint(encodings):
        return off * sum(known[name].kld(each.name) for name, each in encodings.items())

    mix, _ = mixing(model, joint, max_kld=0.2)
    assert mix.kld <= 0.18
    assert mix.kld == pytest.approx(off * mix.predicted)
    smaller = mixing(model, target_bits=mix.bits - 0.15)[0]
    assert off * smaller.predicted > 0.9 * 0.18


def test_a_cost_that_nothing_reaches_is_refused(model):
    with pytest.raises(UsageError, match="no mix has a mean KL"):
        mixing(model, lambda encodings: 1.0, max_kld=0.1)


def test_what_a_recipe_fixes_stays_as_it_is(model):
    fixed = Override(pattern="*.q_proj.weight", encoding="int4_g32")
    mix, _ = mixing(model, target_bits=9, overrides=(fixed,), embeddings="f16", head="int8")
    found = {one.name: one.encoding for one in mix.weights}
    assert {name for name, stored in found.items() if fnmatchcase(name, fixed.pattern)} == {
        name for name in found if "q_proj" in name
    }
    assert {found[name] for name in found if "q_proj" in name} == {"int4_g32"}
    assert found["model.embed_tokens.weight"] == "f16"
    assert found["lm_head.weight"] == "int8"


def test_candidates_narrow_a_mix(model):
    mix, _ = mixing(model, target_bits=7, candidates=("int4_g32", "int8"))
    assert {one.encoding for one in mix.weights} == {"int4_g32", "int8"}


def test_weights_that_a_runtime_fuses_are_stored_alike(model):
    names = [name for name in model.weights if name.endswith("proj.weight")]

    class Fusing(type(target(FORMAT))):
        fused = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))

    groups = together(names, Fusing())
    assert len(groups) == 4
    assert sum(map(len, groups)) == 10
    for bits in (6, 7, 8):
        mix, _ = mixing(model, fused=groups, target_bits=bits)
        found = {one.name: one.encoding for one in mix.weights}
        assert all(len({found[name] for name in group}) == 1 for group in groups)


def test_weights_to_be_stored_alike_that_share_no_encoding_are_refused(model):
    fixed = Override(pattern=QUERY, encoding="f32")
    with pytest.raises(UsageError, match="must be stored alike"):
        mixing(
            model,
            fused=[(QUERY, QUERY.replace("q_proj", "k_proj"))],
            target_bits=9,
            overrides=(fixed,),
        )


def test_groups_that_do_not_divide_rows_are_no_candidates(model):
    _, _, found = opened(model, target_bits=6, candidates=("int4", "int8"))
    names = {slot.name: {each.name for each in slot.candidates} for slot in found}
    assert names[QUERY] == {"int4_g64", "int8"}
    assert names["model.layers.0.mlp.down_proj.weight"] == {"int4_g32", "int8"}


def test_a_target_of_one_group_size_chooses_from_groups_of_that_size_alone(model):
    given = ("int4_sym", "int4_sym_g32", "bf16")
    artifact, _, found = opened(model, "ipex", target_bits=10, candidates=given)
    linear = [slot for slot in found if slot.role is Role.LINEAR]
    assert {each.name for slot in linear for each in slot.candidates} == {"int4_sym_g32", "bf16"}
    names = {slot.name: slot.candidates[0].name for slot in found}
    overrides = tuple(Override(pattern=name, encoding=stored) for name, stored in names.items())
    chosen = artifact.model_copy(update={"overrides": overrides})
    stored = stored_graph(model.raw_config, model.config, model.weights, chosen, strict=True)
    kept = {each.name: each.encoding for each in coverage(stored)}
    assert {name: kept[name] for name in names} == names


def test_the_candidates_of_a_gguf_have_every_size(model):
    names = candidate_names(target("gguf"), Artifact(format="gguf", target_bits=5))
    assert set(names) <= set(target("gguf").encodings)
    assert {"q3_k", "iq4_nl", "q5_k", "q6_k", "q8_0", "bf16"} <= set(names)
    assert not {"f32", "q4_0", "mxfp4"} & set(names)


def test_of_a_linear_layer_one_encoding_is_measured_and_of_tables_all(model):
    _, _, found = opened(model, target_bits=6, candidates=("bf16", "int8", "int4_g32", "f16"))
    for slot in found:
        measured = measured_encodings(slot)
        if slot.role is Role.LINEAR:
            assert measured == ("int4_g32",)
        else:
            assert set(measured) == {each.name for each in slot.candidates}


def test_a_target_without_two_encodings_to_mix_is_refused():
    with pytest.raises(UsageError, match="nothing to mix for target gaudi"):
        candidate_names(target("gaudi"), Artifact(format="gaudi", target_bits=8))


def test_candidates_that_the_target_does_not_store_are_refused():
    artifact = Artifact(format="onnx", target_bits=8, candidates=("q4_0", "int8"))
    with pytest.raises(UnsupportedEncodingError, match="does not store the candidate q4_0"):
        candidate_names(target("onnx"), artifact)


def test_candidates_that_round_inputs_are_refused():
    artifact = Artifact(format="gaudi", target_bits=8, candidates=("bf16", "fp8"))
    with pytest.raises(UsageError, match="cannot choose fp8"):
        candidate_names(target("gaudi"), artifact)


@pytest.mark.parametrize("surplus", [{"encoding": "int8"}, {"method": "gptq"}])
def test_a_goal_beside_an_encoding_or_a_method_is_refused(surplus):
    with pytest.raises(UsageError, match="names a goal that encodings are mixed for"):
        resolve_encoding(Artifact(format=FORMAT, target_bits=5, **surplus))
