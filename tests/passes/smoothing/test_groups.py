"""Which layers read one value, and what before them can be divided."""

import numpy as np
import pytest

from passes.smoothing.groups import groups
from tests.support.models import small_model


def by_layer(family, **changes):
    """Groups of the first layer by the last parts of the names."""
    found = groups(small_model(family, **changes).graph())
    short = {
        ".".join(group.name.split(".")[-3:-1]): group for group in found if ".0." in group.name
    }
    return short, found


@pytest.mark.parametrize("tied", [True, False])
def test_a_llama_has_four_a_layer_and_its_head(tied):
    short, found = by_layer("llama", tie_word_embeddings=tied)
    assert len(found) == 2 * 4 + (not tied)
    weights = {name: [each.split(".")[-2] for each in one.weights] for name, one in short.items()}
    assert weights == {
        "self_attn.q_proj": ["q_proj", "k_proj", "v_proj"],
        "self_attn.o_proj": ["o_proj"],
        "mlp.gate_proj": ["gate_proj", "up_proj"],
        "mlp.down_proj": ["down_proj"],
    }
    folded = {name: one.fold.parameters for name, one in short.items()}
    assert [each.split(".")[-2] for (each,) in folded.values()] == [
        *("input_layernorm", "v_proj", "post_attention_layernorm", "up_proj")
    ]


def test_heads_that_share_a_value_head_share_its_divisors():
    short, _ = by_layer("qwen2", num_attention_heads=6, num_key_value_heads=2)
    fold, size = short["self_attn.o_proj"].fold, 8
    assert [each.split(".")[-1] for each in fold.parameters] == ["weight", "bias"]
    assert np.array_equal(fold.rows, np.arange(2 * size))
    of_heads = fold.channels.reshape(6, size)
    assert of_heads[:, 0].tolist() == [0, 0, 0, size, size, size]
    assert np.array_equal(of_heads[4], size + np.arange(size))


def test_the_values_of_bloom_are_every_third_piece_of_its_fused_layer():
    short, _ = by_layer("bloom")
    fold = short["self_attention.dense"].fold
    pieces = np.arange(3 * 48).reshape(6, 3, 8)
    assert np.array_equal(fold.rows.reshape(6, 8), pieces[:, 2])
    assert [each.split(".")[-1] for each in fold.parameters] == ["weight", "bias"]
    assert short["mlp.dense_h_to_4h"].fold.parameters == (
        "transformer.h.0.post_attention_layernorm.weight",
        "transformer.h.0.post_attention_layernorm.bias",
    )
    assert short["mlp.dense_4h_to_h"].obstacle == "Gelu before it is not linear by channel"


def test_a_norm_that_the_residual_reads_too_is_left():
    short, _ = by_layer("bloom", apply_residual_connection_post_layernorm=True)
    assert short["mlp.dense_h_to_4h"].fold is None
    assert "reads the same input" in short["mlp.dense_h_to_4h"].obstacle


def test_yuan_folds_into_its_gate_and_its_filter():
    short, _ = by_layer("yuan")
    assert short["mlp.down_proj"].fold.parameters == ("model.layers.0.mlp.gate_proj.weight",)
    assert short["self_attn.q_proj"].fold.parameters == (
        "model.layers.0.self_attn.lf_gate.output_layernorm.weight",
    )
    assert short["self_attn.v_proj"].obstacle == "Add reads the same input"


def test_a_norm_that_serves_twice_is_left():
    small = small_model("llama")
    model = small.graph()
    norms = [node for node in model.graph if node.op_type == "RMSNormalization"]
    norms[2].replace_input_with(1, norms[0].inputs[1])
    found = [group for group in groups(model) if group.name.endswith("q_proj.weight")]
    assert [group.fold for group in found] == [None, None]
