"""Matrices of experts in the tensors of llama.cpp, and where they are told to come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from convert.errors import UnsupportedConfigError, UnsupportedEncodingError
from convert.weights import read_float32
from passes.encodings import encoding
from targets.gguf.imported.activations import Activation, Rows
from targets.gguf.imported.experts import (
    expert_names,
    expert_pieces,
    expert_tensors,
    layer_of,
    router_names,
)
from targets.gguf.imported.facts import facts_of
from targets.gguf.imported.runs import RUNS
from tests.support.models import small_model
from tests.targets.gguf.imported.mixtures import DOWN, MIXTURE, NAMES, UP, matrices, with_experts


@pytest.fixture(scope="module")
def facts():
    llama = small_model("llama", num_hidden_layers=1)
    return with_experts(facts_of(llama.graph(), llama.config))


@pytest.fixture
def held():
    return matrices()


def test_matrices_of_experts_are_stacked_and_halved(facts, held) -> None:
    found = {each.name: each for each in expert_tensors(facts, held, RUNS["mixtral"])}
    shapes = {name: each.shape for name, each in found.items()}
    assert shapes == {
        "blk.0.ffn_gate_exps.weight": (3, 4, 6),
        "blk.0.ffn_up_exps.weight": (3, 4, 6),
        "blk.0.ffn_down_exps.weight": (3, 6, 4),
    }
    whole = read_float32(held[NAMES[2]].weight)
    (up, _), (gate, _) = (found[f"blk.0.ffn_{k}_exps.weight"].stacked[2] for k in ("up", "gate"))
    np.testing.assert_array_equal(np.concatenate((read_float32(gate), read_float32(up))), whole)
    assert expert_names(facts) == set(NAMES)
    assert router_names(facts) == {"model.layers.0.mlp.gate.weight": "blk.0.ffn_gate_inp.weight"}
    corrected = replace(facts, mixtures={DOWN.name: replace(MIXTURE, correction="added")})
    assert router_names(corrected)["added"] == "blk.0.exp_probs_b.bias"


def test_experts_of_several_encodings_or_without_a_gate_are_refused(facts, held) -> None:
    held[NAMES[4]].encoding = encoding("f16")
    with pytest.raises(UnsupportedEncodingError, match="ffn_down_exps"):
        list(expert_tensors(facts, held, RUNS["mixtral"]))
    ungated = with_experts(facts, Activation("silu"))
    with pytest.raises(UnsupportedConfigError, match="without a gate"):
        list(expert_tensors(ungated, held, RUNS["mixtral"]))
    with pytest.raises(UnsupportedConfigError, match="of no layer"):
        layer_of("norm.weight")


@pytest.mark.parametrize(
    ("gates", "ups"), [(Rows(0), Rows(4)), (Rows(4), Rows(0)), (Rows(1, 2), Rows(0, 2))]
)
def test_pieces_say_which_rows_of_a_parameter_each_tensor_has(facts, held, gates, ups) -> None:
    changed = with_experts(facts, Activation("silu", UP, gates, ups))
    tensors = {each.name: each for each in expert_tensors(changed, held, RUNS["mixtral"])}
    pieces = list(expert_pieces(changed, RUNS["mixtral"]))
    assert [each.stored for each in pieces] == list(tensors)
    for number in range(3):
        rebuilt = {piece.whole.format(number): np.full((8, 6), np.nan) for piece in pieces[:2]}
        for piece in pieces[:2]:
            rows = read_float32(tensors[piece.stored].stacked[number][0])
            rebuilt[piece.whole.format(number)][piece.rows(number, len(rows))] = rows
        ((name, values),) = rebuilt.items()
        np.testing.assert_array_equal(values, read_float32(held[name].weight))
