"""Which tensors a checkpoint has, and which encodings it cannot have."""

from __future__ import annotations

import pytest

from convert.errors import UnsupportedEncodingError
from convert.graph import parameters
from passes.encodings import encoding
from targets.checkpoint_modules import linear_layers
from targets.ipex.tensors import checkpoint_tensors
from tests.targets.ipex.artifacts import model


def encoded(small, layers):
    graph = small.graph()
    for parameter in parameters(graph).values():
        parameter.encoding = encoding("bf16")
    for layer in linear_layers(graph).values():
        layer.encoding = encoding(layers)
    return graph


def test_each_layer_has_its_tensors_beside_its_bias():
    stored = checkpoint_tensors(encoded(model("bloom"), "int4_sym_g32"))
    shapes = {tensor.name: tensor.shape for tensor in stored.tensors.tensors}
    module = "transformer.h.1.self_attention.query_key_value"
    own = {name.removeprefix(f"{module}."): s for name, s in shapes.items() if module in name}
    assert own == {
        "qweight": (8, 192),
        "qzeros": (2, 24),
        "scales": (2, 192),
        "g_idx": (64,),
        "bias": (192,),
    }
    assert shapes["transformer.word_embeddings.weight"] == (104, 64)
    assert "lm_head.weight" not in shapes


@pytest.mark.parametrize("name", ["int8", "int4_g32", "q8_0"])
def test_what_no_reader_knows_is_refused(name):
    with pytest.raises(UnsupportedEncodingError, match="cannot store"):
        checkpoint_tensors(encoded(model("llama"), name))
