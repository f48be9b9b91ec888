"""The contract of a pass is enforced: its claims are checked, and no weight is read."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from convert.architectures import architecture_of
from convert.errors import PassRefusedError
from convert.graph import parameters, remove_dead_nodes
from convert.parameter import Parameter
from convert.weights import FloatType, Weight
from passes.base import Pass, fingerprint
from passes.kv_cache import DynamicCache, StatefulCache, StaticCache
from passes.lfa_fusion import LfaFusion
from tests.support.models import small_model

RAW = {
    "architectures": ["Qwen3ForCausalLM"],
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 101,
    "use_sliding_window": True,
    "sliding_window": 4,
    "max_window_layers": 1,
}


YUAN = {
    "architectures": ["YuanForCausalLM"],
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "vocab_size": 101,
    "tie_word_embeddings": False,
}


class CountedWeight(Weight):
    """A weight that counts how often it is read."""

    reads = 0

    def __init__(self, name, shape):
        self.name, self.shape, self.dtype = name, shape, FloatType.BF16

    def read_rows(self, start, stop):
        type(self).reads += 1
        raise AssertionError(f"{self.name} was read")


class Stub(Pass):
    """Changes what it is told to change, and claims what it is told to claim."""

    name = "stub"
    exact = True

    def __init__(self, change, claim, *, refuse=False, keep=True):
        self.change, self.claim, self.refuse, self.keep = change, claim, refuse, keep

    def requires(self, model):
        if self.refuse:
            raise PassRefusedError("not this one", "some.node")

    def rewrite(self, model):
        self.change(model)
        return self.claim

    def ensures(self, model):
        assert self.keep, "not as promised"


def nothing(model):
    pass


def rename_a_node(model):
    model.graph[3].name += ".renamed"


def change_an_attribute(model):
    node = next(node for node in model.graph if node.op_type == "Attention")
    node.attributes["scale"] = ir.AttrFloat32("scale", 0.5)


def rewire(model):
    node = next(node for node in model.graph if node.op_type == "RMSNormalization")
    node.replace_input_with(0, node.inputs[1])


def add_metadata(model):
    model.metadata_props["key"] = "value"


def change_an_encoding(model):
    class Named:
        name = "int8"

    value = model.graph.initializers["lm_head.weight"]
    value.const_value = Parameter(value.const_value.weight, Named())


def change_an_input(model):
    model.graph.inputs[0].shape = ir.Shape((1, 4))


CHANGES = [
    rename_a_node,
    change_an_attribute,
    rewire,
    add_metadata,
    change_an_encoding,
    change_an_input,
]


@pytest.fixture
def graph():
    return small_model("llama").graph()


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_reported_truthfully(graph, change):
    assert Stub(change, claim=True)(graph) is True


@pytest.mark.parametrize("change", CHANGES)
def test_a_hidden_change_is_caught(graph, change):
    with pytest.raises(AssertionError, match="reports changed=False"):
        Stub(change, claim=False)(graph)


def test_a_change_that_did_not_happen_is_caught(graph):
    with pytest.raises(AssertionError, match="reports changed=True"):
        Stub(nothing, claim=True)(graph)
    assert Stub(nothing, claim=False)(graph) is False


def test_a_refusal_comes_before_any_change_and_names_the_node(graph):
    before = fingerprint(graph)
    with pytest.raises(PassRefusedError, match="not this one") as caught:
        Stub(rename_a_node, claim=True, refuse=True)(graph)
    assert caught.value.node == "some.node"
    assert caught.value.exit_code == 4
    assert fingerprint(graph) == before


def test_a_broken_promise_is_caught(graph):
    with pytest.raises(AssertionError, match="not as promised"):
        Stub(nothing, claim=False, keep=False)(graph)


def test_the_same_model_has_the_same_fingerprint():
    assert fingerprint(small_model("llama").graph()) == fingerprint(small_model("llama").graph())


@pytest.mark.parametrize("raw", [RAW, YUAN], ids=["qwen3", "yuan"])
@pytest.mark.parametrize("fusion", [None, "pair", "collapsed"])
def test_building_and_passes_read_no_weight(raw, fusion):
    architecture = architecture_of(raw)
    config = architecture.parse(raw)
    weights = {
        name: CountedWeight(name, shape) for name, shape in architecture.parameters(config).items()
    }
    for form in (DynamicCache(), StatefulCache(), StaticCache(1, 4, 16)):
        model = architecture.build(config, weights)
        if fusion is not None:
            LfaFusion(fusion)(model)
        assert form(model)
        remove_dead_nodes(model)
        if fusion != "collapsed":
            assert set(parameters(model)) == set(weights)
    assert CountedWeight.reads == 0


def test_the_count_would_have_seen_a_read():
    weight = CountedWeight("w", (2, 3))
    with pytest.raises(AssertionError, match="w was read"):
        Parameter(weight).numpy()
    assert CountedWeight.reads == 1
    CountedWeight.reads = 0
