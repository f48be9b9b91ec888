"""The weighting pass: what the graph then computes, what stays plain, what is refused."""

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
from passes.weighting import Weighting
from tests.support.models import position_ids, random_ids, small_model
from tests.support.ort import OrtGraph

EMBEDDINGS, Q_PROJ = "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"
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


def test_the_graph_computes_with_the_weights_that_the_weighted_encoding_decodes(small, moments):
    model, by_hand = quantized(small), quantized(small)
    assert Weighting(moments)(model)
    assert not Weighting(moments)(model)
    for name, parameter in parameters(by_hand).items():
        if parameter.encoding.name == ENCODING:
            rows = parameter.weight.read_rows(0, parameter.weight.rows)
            chosen = encoding(ENCODING).weighted(moments[name])
            decoded = chosen.decode(chosen.reference(rows), *rows.shape)
            by_hand.graph.initializers[name].const_value = Parameter(ArrayWeight(name, decoded))
    found = logits(model)
    assert np.array_equal(found, logits(by_hand))
    assert not np.array_equal(found, logits(quantized(small)))


def test_the_tied_embedding_stays_plain_without_a_note(small, moments):
    assert EMBEDDINGS in moments
    model = small.graph()
    Quantize(Policy(ENCODING, ENCODING, ENCODING, (), ENCODINGS))(model)
    Weighting(moments)(model)
    assert parameters(model)[EMBEDDINGS].encoding.importance is None
    assert parameters(model)[Q_PROJ].encoding.importance is not None
    assert not notes(model)


def test_a_layer_without_moments_stays_plain_and_a_note_says_so(small, moments):
    model = quantized(small)
    Weighting({name: each for name, each in moments.items() if name != Q_PROJ})(model)
    assert parameters(model)[Q_PROJ].encoding.importance is None
    assert len(notes(model)) == 1
    assert "1 linear layers" in notes(model)[0]
    assert Q_PROJ in notes(model)[0]


def test_other_moments_replace_those_given_before(small, moments):
    model = quantized(small)
    Weighting(moments)(model)
    others = {**moments, Q_PROJ: np.zeros(48)}
    assert Weighting(others)(model)
    assert parameters(model)[Q_PROJ].encoding.importance is None
    assert Q_PROJ in notes(model)[0]
    assert Weighting(moments)(model)
    assert not notes(model)


def test_what_has_no_scales_to_choose_is_left_alone(small, moments):
    model = quantized(small, "int8")
    before = {name: each.encoding for name, each in parameters(model).items()}
    Weighting(moments)(model)
    assert {name: each.encoding for name, each in parameters(model).items()} == before
    assert not notes(model)


@pytest.mark.parametrize(
    "bad",
    [
        {"model.layers.9.self_attn.q_proj.weight": np.ones(48)},
        {Q_PROJ: np.ones(47)},
        {Q_PROJ: np.full(48, -1.0)},
        {Q_PROJ: np.full(48, np.nan)},
    ],
)
def test_moments_of_another_model_are_refused_before_anything_is_changed(small, moments, bad):
    model = quantized(small)
    with pytest.raises(PassRefusedError, match="moments"):
        Weighting({**moments, **bad})(model)
    assert parameters(model)[Q_PROJ].encoding.importance is None


def test_a_graph_that_is_not_quantized_is_refused(small, moments):
    with pytest.raises(PassRefusedError, match="not quantized"):
        Weighting(moments)(small.graph())
