"""Experts in llama.cpp's keys and tensors, or refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from convert.errors import UnsupportedConfigError, UnsupportedEncodingError
from convert.importing.architecture import Imported
from convert.parameter import Parameter
from convert.weights import ArrayWeight, read_float32
from passes.encodings import encoding
from targets.gguf.imported.activations import Activation
from targets.gguf.imported.facts import Mixture, facts_of
from targets.gguf.imported.linears import Linear
from targets.gguf.imported.mixing import (
    expert_names,
    expert_tensors,
    layer_of,
    mixing_keys,
    router_names,
    shared_width,
)
from targets.gguf.imported.routings import Routing
from targets.gguf.imported.runs import RUNS, Mixing
from tests.support.imported import original, weights_of
from tests.support.models import small_model
from tests.targets.gguf.imported.models import config_of

ROUTING = Routing(count=3, used=2, gate="softmax", normalized=True, scale=1.0)
PARTS = {
    f"model.layers.0.mlp.experts.{n}.{part}_proj.weight": (rows, columns)
    for part, rows, columns in (("gate_up", 8, 6), ("down", 6, 4))
    for n in range(3)
}
NAMES = tuple(PARTS)


def linear(rows: int, names: tuple[str, ...]) -> Linear:
    return Linear(names[0], None, ir.Value(name="x"), ir.Value(name="y"), rows, names)


UP, DOWN = linear(8, NAMES[:3]), linear(6, NAMES[3:])
MIXTURE = Mixture(linear(3, ("model.layers.0.mlp.gate.weight",)), ROUTING, (UP,), DOWN)


@pytest.fixture(scope="module")
def llama():
    return small_model("llama", num_hidden_layers=1)


@pytest.fixture(scope="module")
def facts(llama):
    found = facts_of(llama.graph(), llama.config)
    acts = {DOWN.name: Activation("silu", UP)}
    return replace(found, mixtures={DOWN.name: MIXTURE}, activations=acts)


@pytest.fixture
def held():
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in PARTS.items()}
    return {name: Parameter(ArrayWeight(name, array)) for name, array in arrays.items()}


def with_routing(facts, **changes):
    mixture = replace(MIXTURE, routing=replace(ROUTING, **changes))
    return replace(facts, mixtures={DOWN.name: mixture})


def test_keys_say_how_experts_are_chosen(llama, facts) -> None:
    sized = {"expert_count": 3, "expert_used_count": 2, "expert_feed_forward_length": 4}
    assert dict(mixing_keys(facts, llama.config, RUNS["mixtral"], None)) == sized
    found = dict(mixing_keys(with_routing(facts, scale=1.5), llama.config, RUNS["dots1"], 8))
    assert found == {
        **sized,
        **{"expert_shared_count": 2, "expert_gating_func": 1, "expert_weights_norm": True},
        **{"expert_weights_scale": 1.5, "leading_dense_block_count": 0},
    }
    assert mixing_keys(replace(facts, mixtures={}), llama.config, RUNS["llama"], None) == []


@pytest.mark.parametrize(
    ("changes", "feature"),
    [
        ({"gate": "sigmoid"}, "weighed by sigmoid"),
        ({"normalized": False}, "do not sum to 1"),
        ({"scale": 2.0}, "multiplied by"),
    ],
)
def test_other_choices_are_refused(llama, facts, changes, feature) -> None:
    with pytest.raises(UnsupportedConfigError, match=feature):
        mixing_keys(with_routing(facts, **changes), llama.config, RUNS["mixtral"], None)


def test_experts_where_an_architecture_has_none_are_refused(llama, facts) -> None:
    with pytest.raises(UnsupportedConfigError, match="a mixture of experts"):
        mixing_keys(facts, llama.config, RUNS["llama"], None)
    two = replace(llama.config, layers=2)
    for mixing in (Mixing(), Mixing(dense_first=True)):
        with pytest.raises(UnsupportedConfigError, match="without experts among others"):
            mixing_keys(facts, two, replace(RUNS["mixtral"], mixing=mixing), None)


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
    assert shared_width({"blk.1.ffn_down_shexp.weight": (6, 8)}, 2) == 8


def test_experts_of_several_encodings_or_without_a_gate_are_refused(facts, held) -> None:
    held[NAMES[4]].encoding = encoding("f16")
    with pytest.raises(UnsupportedEncodingError, match="ffn_down_exps"):
        list(expert_tensors(facts, held, RUNS["mixtral"]))
    ungated = replace(facts, activations={DOWN.name: Activation("silu")})
    with pytest.raises(UnsupportedConfigError, match="without a gate"):
        list(expert_tensors(ungated, held, RUNS["mixtral"]))
    with pytest.raises(UnsupportedConfigError, match="of no layer"):
        layer_of("norm.weight")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_type", "expected"),
    [
        ("olmoe", Routing(6, 2, "softmax", False, 1.0)),
        ("granitemoe", Routing(6, 2, "softmax", True, 1.0)),
        ("dots1", Routing(6, 2, "sigmoid", True, 1.5)),
    ],
)
def test_how_a_graph_chooses_is_found_by_letting_it(model_type: str, expected: Routing) -> None:
    raw = config_of(model_type)
    architecture = Imported(raw, raw["architectures"][0])
    config = architecture.parse(raw)
    graph = architecture.build(config, architecture.bound(weights_of(original(raw))))
    assert {each.routing for each in facts_of(graph, config).mixtures.values()} == {expected}
