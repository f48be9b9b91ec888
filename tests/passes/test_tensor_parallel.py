"""The ranks together compute what the whole model computes, in onnxruntime."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convert.architectures.alibi import slopes
from convert.errors import PassRefusedError
from convert.graph import Role, attention_nodes, notes, parameters, roles
from convert.weights import read_float32
from passes.base import fingerprint
from passes.kv_cache import DynamicCache
from passes.lfa_fusion import LfaFusion
from passes.quantize import Policy, Quantize
from passes.sharding.collectives import is_collective
from passes.tensor_parallel import CUTS, RANK, RANKS, TensorParallel
from tests.support.models import position_ids, random_ids, small_model
from tests.support.odd_models import ODD_MODELS
from tests.support.ort import OrtGraph, relative_error
from tests.support.ranks import merged

TOLERANCE = 1e-5
"""Largest difference, in standard deviations of the logits."""


def rank_graphs(model, ranks, *, block=4, then=()):
    graphs = []
    for rank in range(ranks):
        graph = model.graph()
        LfaFusion()(graph)
        assert TensorParallel(ranks, rank, block=block)(graph)
        for step in then:
            step(graph)
        graphs.append(graph)
    return graphs


def assert_parity(model, ranks, **options):
    """Every rank puts out the logits of the whole, for a batch that is padded on the left."""
    graphs = rank_graphs(model, ranks, **options)
    ids = random_ids(2, 9, model.config.vocab)
    mask = np.ones_like(ids)
    mask[1, :3] = 0
    feed = {"input_ids": ids, "attention_mask": mask, "position_ids": position_ids(mask)}
    expected = OrtGraph(model.graph())(**feed)["logits"]
    found = OrtGraph(merged(graphs))(**feed)
    for rank in range(ranks):
        assert relative_error(found[f"{rank}/logits"], expected) < TOLERANCE
    return graphs


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("name", ODD_MODELS)
def test_odd_models(name, ranks):
    family, changes = ODD_MODELS[name]
    model = small_model(family, **changes)
    if model.config.heads < ranks:
        pytest.skip("fewer heads than ranks: refused, see below")
    assert_parity(model, ranks)


@st.composite
def shapes(draw):
    kv_heads, group = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    return {
        "num_attention_heads": kv_heads * group,
        "num_key_value_heads": kv_heads,
        "head_dim": 2 * draw(st.integers(1, 8)),
        "hidden_size": kv_heads * group * draw(st.integers(1, 8)),
        "intermediate_size": draw(st.integers(4, 70)),
        "vocab_size": draw(st.integers(4, 90)),
        "tie_word_embeddings": draw(st.booleans()),
        "num_hidden_layers": 1,
        "pad_token_id": None,
    }


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["llama", "mistral", "qwen2", "qwen3"]),
    shapes(),
    st.integers(2, 4),
    st.sampled_from([1, 4, 16, 64]),
)
def test_random_shapes(family, shape, ranks, block):
    model = small_model(family, **shape)
    kv_heads, heads = shape["num_key_value_heads"], shape["num_attention_heads"]
    if kv_heads * -(-ranks // kv_heads) > max(heads, kv_heads):
        with pytest.raises(PassRefusedError, match="query heads"):
            rank_graphs(model, ranks, block=block)
    else:
        assert_parity(model, ranks, block=block)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 9), st.integers(5, 9), st.booleans(), st.integers(2, 4))
def test_random_shapes_of_bloom(heads, head_dim, tied, ranks):
    sizes = {"num_attention_heads": heads, "hidden_size": heads * head_dim}
    model = small_model("bloom", **sizes, tie_word_embeddings=tied, num_hidden_layers=1)
    if heads < ranks:
        with pytest.raises(PassRefusedError, match=f"{heads} query heads"):
            rank_graphs(model, ranks)
    else:
        assert_parity(model, ranks)


def _length(axis):
    """Of an axis of an empty cache for one sequence."""
    if isinstance(axis, int):
        return axis
    return {"batch": 1, "past_sequence": 0}[axis.value]


@pytest.mark.parametrize("family", ["bloom", "llama", "qwen3", "yuan"])
def test_with_a_cache_of_each_ranks_own_heads(family):
    changes = {"num_attention_heads": 6, "head_dim": 8}
    model = small_model(family, **(changes if family in ("llama", "qwen3") else {}))
    graphs = rank_graphs(model, 2, then=[DynamicCache()])
    heads = [graph.graph.inputs[3].shape[1] for graph in graphs]
    assert sum(heads) == model.config.kv_heads
    caches = [value.name for value in graphs[0].graph.inputs[3:]]
    whole = OrtGraph(merged(graphs, shared=caches))
    ids = random_ids(1, 9, model.config.vocab)
    state = {
        f"{rank}/{value.name}": np.zeros([_length(axis) for axis in value.shape], np.float32)
        for rank, graph in enumerate(graphs)
        for value in graph.graph.inputs[3:]
    }
    logits = []
    for start, end in ((0, 4), (4, 5), (5, 6), (6, 9)):
        outputs = whole(
            input_ids=ids[:, start:end],
            attention_mask=np.ones((1, end), np.int64),
            position_ids=np.arange(start, end)[None],
            **state,
        )
        logits.append(outputs["1/logits"])
        state = {name: outputs[name.replace("past_key_values", "present")] for name in state}
    assert relative_error(np.concatenate(logits, axis=1), model.logits(ids)) < TOLERANCE


def test_every_weight_is_somewhere_and_matrices_nowhere_twice():
    """Llama without grouped heads: only norms are on both ranks."""
    model = small_model("llama", num_key_value_heads=6)
    shards = [parameters(graph) for graph in rank_graphs(model, 2)]
    for name, weight in model.weights.items():
        parts = [shard[name].weight for shard in shards]
        whole = read_float32(weight)
        if len(weight.shape) == 1:
            assert all(part.shape == weight.shape for part in parts)
            continue
        axis = next(a for a in (0, 1) if parts[0].shape[a] != weight.shape[a])
        joined = np.concatenate([read_float32(part) for part in parts], axis=axis)
        np.testing.assert_array_equal(joined, whole)


@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_each_rank_makes_the_linear_biases_of_its_own_heads(ranks):
    """No rank makes those of all heads to cut its own out, layer by layer."""
    model = small_model("bloom", num_attention_heads=6, num_hidden_layers=1)
    graphs = assert_parity(model, ranks)
    own = [
        value.const_value.numpy().ravel().tolist()
        for graph in graphs
        for name, value in graph.graph.initializers.items()
        if name.startswith("alibi.slopes")
    ]
    assert [slope for mine in own for slope in mine] == slopes(6).tolist()
    for graph, mine in zip(graphs, own, strict=True):
        (attention,) = attention_nodes(graph)
        assert attention.inputs[3].shape[1] == len(mine)
        assert "Slice" not in {node.op_type for node in graph.graph}


def test_biases_of_what_is_summed_are_added_once_and_whole():
    model = small_model("bloom", num_attention_heads=4, num_hidden_layers=1)
    shapes = [
        {name: item.weight.shape for name, item in parameters(graph).items()}
        for graph in rank_graphs(model, 2)
    ]
    for name in ("self_attention.dense", "mlp.dense_4h_to_h"):
        assert shapes[0][f"transformer.h.0.{name}.bias"] == (48,)
    assert shapes[1]["transformer.h.0.self_attention.query_key_value.weight"] == (72, 48)
    assert shapes[1]["transformer.h.0.self_attention.query_key_value.bias"] == (72,)
    assert shapes[1]["transformer.h.0.mlp.dense_h_to_4h.bias"] == (96,)
    assert shapes[1]["transformer.ln_f.bias"] == (48,)


def test_one_sum_where_a_norm_comes_next_and_none_elsewhere():
    graph = rank_graphs(small_model("yuan"), 2)[0]
    sums = [node.name for node in graph.graph if is_collective(node)]
    assert sums == [
        "model.embed_tokens.Gather.own.AllReduce",
        *(
            f"model.layers.{layer}.{module}.MatMul.AllReduce"
            for layer in (0, 1)
            for module in ("self_attn.lf_gate.conv2", "self_attn.o_proj", "mlp.down_proj")
        ),
        "logits.part.AllGather",
    ]


def test_the_ranks_run_the_same_operators_in_the_same_order():
    graphs = rank_graphs(small_model("qwen2", intermediate_size=67, vocab_size=101), 3)
    kinds = [[(node.op_type, node.name) for node in graph.graph] for graph in graphs]
    collectives = [[node.name for node in graph.graph if is_collective(node)] for graph in graphs]
    assert [kind for kind, _ in kinds[0]] == [kind for kind, _ in kinds[1]]
    assert collectives[0] == collectives[1] == collectives[2]


def test_embedding_and_head_keep_their_roles():
    graph = rank_graphs(small_model("llama"), 2)[0]
    found = roles(graph)
    assert found["model.embed_tokens.weight"] is Role.EMBEDDING
    assert found["lm_head.weight"] is Role.HEAD


@pytest.mark.parametrize("encoding", ["nf4_g32", "nf4_dq_g32", "int4_g32"])
def test_blocks_of_a_quantized_row_are_not_cut(encoding):
    """Each rank has the quantized values that the whole matrix has there, to the last bit."""
    model = small_model("llama", hidden_size=96, head_dim=32, intermediate_size=192)
    policy = Policy(encoding, "bf16", "bf16", (), (encoding, "bf16", "f32"))
    whole, shards = model.graph(), rank_graphs(model, 2, block=32)
    for graph in (whole, *shards):
        Quantize(policy)(graph)
    for name, parameter in parameters(whole).items():
        parts = [parameters(graph)[name] for graph in shards]
        assert {part.encoding.name for part in parts} == {parameter.encoding.name}
        if parameter.encoding.name == encoding:
            axis = next(a for a in (0, 1) if parts[0].shape[a] != parameter.shape[a])
            joined = np.concatenate([part.numpy() for part in parts], axis=axis)
            np.testing.assert_array_equal(joined, parameter.numpy())


def test_notes_say_what_is_not_as_it_should_be():
    graph = rank_graphs(small_model("llama", intermediate_size=67), 2, block=64)[0]
    assert graph.metadata_props[RANKS] == "2"
    assert graph.metadata_props[RANK] == "0"
    (note,) = notes(graph)
    assert "model.layers.0.self_attn.o_proj.weight and 1 more: cut at multiples of 24" in note


def test_cuts_say_what_each_rank_has():
    model = small_model("qwen2", num_key_value_heads=1)
    shards = rank_graphs(model, 2)
    for rank, graph in enumerate(shards):
        cuts = json.loads(graph.metadata_props[CUTS])
        assert cuts["model.layers.0.mlp.down_proj.weight"] == [1, [[[0, 36], [36, 72]][rank]]]
        assert cuts["model.layers.1.self_attn.q_proj.bias"] == [0, [[24 * rank, 24 * rank + 24]]]
        assert cuts["model.layers.1.self_attn.k_proj.weight"] == [0, [[0, 8]]]
        assert "model.norm.weight" not in cuts
        for name, parameter in parameters(graph).items():
            if name in cuts:
                axis, ranges = cuts[name]
                size = sum(last - first for first, last in ranges)
                assert parameter.weight.shape[axis] == size


def test_convolutions_that_were_not_fused_stay_whole():
    graph = small_model("yuan").graph()
    TensorParallel(2, 0, block=4)(graph)
    (note,) = notes(graph)
    assert "lf_gate.conv1.weight and 3 more: stored and computed whole" in note


@pytest.mark.parametrize(("ranks", "rank"), [(1, 0), (2, 2), (2, -1)])
def test_there_is_no_such_rank(ranks, rank):
    with pytest.raises(PassRefusedError, match=f"no rank {rank} of {ranks}"):
        TensorParallel(ranks, rank)(small_model("llama").graph())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 8}, "3 query heads"),
        ({"intermediate_size": 3}, "3 outputs of model.layers.0.mlp"),
        (
            {"vocab_size": 3, "pad_token_id": None},
            "3 rows of model.embed_tokens|3 outputs of lm_head",
        ),
    ],
)
def test_too_little_for_so_many_ranks(changes, reason):
    graph = small_model("llama", **changes).graph()
    before = fingerprint(graph)
    with pytest.raises(PassRefusedError, match=reason):
        TensorParallel(4, 0)(graph)
    assert fingerprint(graph) == before


def test_a_graph_that_is_past_the_point():
    cached, quantized, cut = (small_model("llama").graph() for _ in range(3))
    DynamicCache()(cached)
    Quantize(Policy("bf16", "bf16", "bf16", (), ("bf16", "f32")))(quantized)
    TensorParallel(2, 0)(cut)
    for graph, reason in ((cached, "KV cache"), (quantized, "quantized"), (cut, "already")):
        with pytest.raises(PassRefusedError, match=reason):
            TensorParallel(2, 0)(graph)


def test_experts_are_refused():
    with pytest.raises(PassRefusedError, match="dealt out to ranks") as caught:
        TensorParallel(2, 0)(small_model("qwen3_moe").graph())
    assert caught.value.node == "model.layers.0.mlp.experts.Split"
