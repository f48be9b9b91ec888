"""The float graph in onnxruntime equals transformers, for odd models of every family."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.architectures import architecture_of
from convert.architectures.decoder import MOST_LAYERS
from convert.architectures.rope import inverse_frequencies
from convert.errors import BrokenInputError, TricastError, UnsupportedConfigError
from tests.convert.architectures.configs import FAMILIES, parse, raw_config
from tests.support.models import position_ids, random_ids, small_model
from tests.support.odd_models import EXPERT_MODELS, ODD_MODELS
from tests.support.ort import OrtGraph, relative_error

TOLERANCE = 1e-4
"""Largest difference, in standard deviations of the logits."""


MODELS = ODD_MODELS | EXPERT_MODELS


@pytest.fixture(scope="module", params=MODELS, ids=str)
def model(request):
    family, changes = MODELS[request.param]
    return small_model(family, **changes)


def run(graph, ids, mask):
    return graph(input_ids=ids, attention_mask=mask, position_ids=position_ids(mask))["logits"]


def test_prefill_equals_transformers(model):
    graph = OrtGraph(model.graph())
    for batch, sequence in ((1, 1), (1, 40), (2, 13)):
        ids = random_ids(batch, sequence, model.config.vocab, seed=sequence)
        found = run(graph, ids, np.ones_like(ids))
        assert found.shape == (batch, sequence, model.config.vocab)
        assert relative_error(found, model.logits(ids)) < TOLERANCE


def test_a_left_padded_batch_equals_transformers_and_each_row_alone(model):
    graph = OrtGraph(model.graph())
    ids = random_ids(3, 12, model.config.vocab)
    mask = np.ones_like(ids)
    mask[1, :3] = mask[2, :11] = 0
    found = run(graph, ids, mask)
    assert np.isfinite(found).all()
    real = mask == 1
    assert relative_error(found[real], model.logits(ids, mask)[real]) < TOLERANCE
    alone = run(graph, ids[1:2, 3:], mask[1:2, 3:])
    assert relative_error(found[1, 3:], alone[0]) < TOLERANCE


@pytest.mark.parametrize("offset", [1000, 100_000])
def test_parity_holds_far_into_a_long_context(offset):
    """Angles are large there: a frequency that is off in its last place would show."""
    import torch

    model = small_model("llama", head_dim=64, max_position_embeddings=200_000)
    ids = random_ids(1, 12, model.config.vocab)
    positions = position_ids(np.ones_like(ids)) * 97 + offset
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": positions}
    found = OrtGraph(model.graph())(**feed)["logits"]
    tensors = {name: torch.from_numpy(array) for name, array in feed.items()}
    with torch.no_grad():
        expected = model.torch_model(**tensors, use_cache=False).logits.numpy()
    assert relative_error(found, expected) < TOLERANCE


def test_the_parameters_are_those_of_the_checkpoint(model):
    architecture = architecture_of(model.raw_config)
    expected = {name: weight.shape for name, weight in model.weights.items()}
    assert architecture.parameters(model.config) == expected
    initializers = model.graph().graph.initializers
    for name, shape in expected.items():
        assert initializers[name].const_value.shape.numpy() == shape


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "key",
    [
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "vocab_size",
    ],
)
@pytest.mark.parametrize("value", [..., 0, -1, "48", 48.5, None])
def test_sizes_are_positive_integers(family, key, value):
    with pytest.raises(BrokenInputError, match=key):
        parse(family, **{key: value})


def test_a_damaged_count_of_layers_does_not_fill_the_memory():
    with pytest.raises(BrokenInputError, match="num_hidden_layers"):
        parse(num_hidden_layers=MOST_LAYERS + 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_heads_divide(family):
    with pytest.raises(BrokenInputError, match="num_key_value_heads") as caught:
        parse(family, num_key_value_heads=4)
    assert "a divisor of 6" in str(caught.value)


def test_heads_share_the_hidden_size_unless_their_size_is_stated():
    with pytest.raises(BrokenInputError, match="hidden_size") as caught:
        parse(hidden_size=50, head_dim=...)
    assert "a multiple of num_attention_heads (6)" in str(caught.value)
    assert parse(hidden_size=50, head_dim=8).head_dim == 8


def test_model_type_must_agree_with_the_architecture():
    with pytest.raises(BrokenInputError, match="model_type") as caught:
        parse("llama", model_type="mistral")
    assert "llama, as architectures says" in str(caught.value)
    assert parse("llama", model_type=...) == parse("llama")


def test_an_odd_head_cannot_be_rotated():
    with pytest.raises(UnsupportedConfigError, match="head_dim"):
        parse(head_dim=7)


@pytest.mark.parametrize("activation", ["gelu", "relu", "gelu_pytorch_tanh"])
def test_other_activations_are_refused(activation):
    with pytest.raises(UnsupportedConfigError, match="hidden_act"):
        parse(hidden_act=activation)
    assert parse(hidden_act="swish") == parse(hidden_act="silu")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("key", "value"), [("qk_layernorm", True), ("logit_scale", 0.5)])
def test_keys_of_other_mathematics_are_refused_by_every_family(family, key, value):
    with pytest.raises(UnsupportedConfigError, match=key):
        parse(family, **{key: value})


KEYS = sorted(
    {
        *raw_config(),
        *("attention_bias", "hidden_act", "layer_types", "max_window_layers", "mlp_bias"),
        *("partial_rotary_factor", "sliding_window", "tie_word_embeddings", "use_sliding_window"),
        *("factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate", "rope_type"),
        *("low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
        *("attention_factor", "rope_scaling", "rope_parameters", "some_key_of_tomorrow"),
    }
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["llama3", "yarn", "linear", "sliding_attention", 2.0, 8, 256])
)
SECTIONS = st.dictionaries(st.sampled_from(KEYS), SCALARS, max_size=7)
VALUES = SCALARS | SECTIONS | st.lists(SCALARS, max_size=4)


@settings(max_examples=400, deadline=None)
@given(
    family=st.sampled_from(sorted(FAMILIES)),
    changes=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3),
)
def test_whatever_a_config_says_it_is_read_or_refused(family, changes):
    try:
        config = parse(family, **changes)
    except TricastError as refusal:
        assert refusal.exit_code in (4, 6)
        return
    if config.head_dim <= 1 << 16:
        assert np.isfinite(inverse_frequencies(config.rope, config.head_dim)).all()
    assert len(config.windows) == config.layers
