"""The weighting pass: what awaits moments, what stays plain, what is refused."""

import numpy as np
import pytest

from convert.errors import PassRefusedError
from convert.graph import notes, parameters
from convert.parameter import Parameter
from convert.weights import ArrayWeight
from passes.calibration.execution import run
from passes.calibration.observers import SecondMoments
from passes.encodings import ENCODINGS, encoding
from passes.quantize import Policy, Quantize
from passes.weighting import AWAITING, Weighting, weightable_layers
from tests.support.models import position_ids, random_ids, small_model
from tests.support.ort import OrtGraph

Q_PROJ = "model.layers.0.self_attn.q_proj.weight"
ENCODING = "int4_g24"


@pytest.fixture(scope="module")
def small():
    return small_model("llama", tie_word_embeddings=True)


@pytest.fixture(scope="module")
def moments(small):
    observer = SecondMoments()
    run(small.graph(), [random_ids(1, 40, 101)[0].tolist()], (observer,))
    return {name: sums / observer.tokens[name] for name, sums in observer.sums.items()}


def quantized(small, default=ENCODING):
    model = small.graph()
    Quantize(Policy(default, "bf16", "bf16", (), ENCODINGS))(model)
    return model


def logits(model):
    ids = random_ids(2, 9, 101)
    ones = np.ones_like(ids)
    graph = OrtGraph(model)
    return graph(input_ids=ids, attention_mask=ones, position_ids=position_ids(ones))["logits"]


def everything(weight):
    return True


def awaiting(model):
    held = parameters(model)
    return {
        name
        for name, parameter in held.items()
        if getattr(parameter.encoding, "awaits_moments", False)
    }


LINEAR = {
    f"model.layers.{layer}.{part}_proj.weight"
    for layer in range(2)
    for part in (
        *(f"self_attn.{each}" for each in "qkvo"),
        *(f"mlp.{each}" for each in ("gate", "up", "down")),
    )
}


def test_linear_layers_await_moments_and_the_graph_stays_as_it_was(small):
    model, plain = quantized(small), quantized(small)
    assert Weighting(everything)(model)
    assert not Weighting(everything)(model)
    assert awaiting(model) == LINEAR
    assert model.metadata_props[AWAITING] == str(len(LINEAR))
    assert not notes(model)
    assert np.array_equal(logits(model), logits(plain))


def test_the_graph_computes_with_the_weights_that_the_weighted_encoding_decodes(small, moments):
    """What awaits moments, bound to them as the stream does it."""
    model, by_hand = quantized(small), quantized(small)
    Weighting(everything)(model)
    for name, parameter in parameters(model).items():
        if name not in LINEAR:
            continue
        rows = parameter.weight.read_rows(0, parameter.weight.rows)
        bound = parameter.encoding.weighted(moments[name])
        assert not bound.awaits_moments
        model.graph.initializers[name].const_value = Parameter(parameter.weight, bound)
        chosen = encoding(ENCODING).weighted(moments[name])
        decoded = chosen.decode(chosen.reference(rows), *rows.shape)
        by_hand.graph.initializers[name].const_value = Parameter(ArrayWeight(name, decoded))
    found = logits(model)
    assert np.array_equal(found, logits(by_hand))
    assert not np.array_equal(found, logits(quantized(small)))


def test_the_tied_embedding_stays_plain_without_a_note(small):
    model = small.graph()
    Quantize(Policy(ENCODING, ENCODING, ENCODING, (), ENCODINGS))(model)
    Weighting(everything)(model)
    assert awaiting(model) == LINEAR
    assert not notes(model)


def test_a_layer_without_moments_stays_plain_and_a_note_says_so(small):
    model = quantized(small)
    Weighting(lambda weight: weight.name != Q_PROJ)(model)
    assert awaiting(model) == LINEAR - {Q_PROJ}
    assert len(notes(model)) == 1
    assert "1 linear layers" in notes(model)[0]
    assert Q_PROJ in notes(model)[0]


def test_a_reason_for_all_layers_is_in_the_note(small):
    model = quantized(small)
    Weighting(lambda weight: False, "there is no tokenizer")(model)
    assert not awaiting(model)
    assert f"{len(LINEAR)} linear layers" in notes(model)[0]
    assert "because there is no tokenizer" in notes(model)[0]


def test_what_has_no_scales_to_choose_is_left_alone(small):
    model = quantized(small, "int8")
    before = {name: each.encoding for name, each in parameters(model).items()}
    Weighting(everything)(model)
    assert {name: each.encoding for name, each in parameters(model).items()} == before
    assert not notes(model)
    assert not list(weightable_layers(model))


def test_a_graph_that_is_not_quantized_is_refused(small):
    with pytest.raises(PassRefusedError, match="not quantized"):
        Weighting(everything)(small.graph())
