"""Graphs of other forms than the shipped ones: what is cut, and that it still computes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from convert.architectures.blocks import linear, rms_norm
from convert.architectures.builder import GraphBuilder
from convert.graph import BATCH, LOGITS, SEQUENCE, parameters
from convert.weights import ArrayWeight
from passes.sharding.collectives import ALL_GATHER, all_gather, is_collective
from passes.sharding.groups import groups, linears
from passes.sharding.parts import Part
from passes.sharding.plan import plan
from passes.sharding.rewrite import Rewrite
from passes.sharding.vocabulary import look_up_own_rows
from tests.support.ort import OrtGraph
from tests.support.ranks import merged

HIDDEN, INNER, HEADS, SIZE = 12, 16, 4, 6


class Weights(dict):
    """Random weights of the shape that their name ends in: ``up.16x12.weight``."""

    def __missing__(self, name):
        shape = [int(size) for size in name.split(".")[-2].split("x")]
        values = np.random.default_rng(len(self)).normal(size=shape).astype(np.float32)
        self[name] = ArrayWeight(name, values)
        return self[name]


def built(write):
    """The graph that ``write(builder, x)`` makes of x ``[batch, sequence, hidden]``."""
    b = GraphBuilder(Weights())
    x = b.input("x", ir.DataType.FLOAT, (BATCH, SEQUENCE, HIDDEN))
    out = write(b, x)
    out.name = LOGITS
    return b.model([out], name="test")


def cut(write, ranks=2):
    """Each rank's graph, checked to put out what the whole graph does."""
    weights = built(write)  # the same names in the same order give the same weights
    graphs = []
    for rank in range(ranks):
        graph = built(write)
        Rewrite(graph, plan(graph, ranks, 1), ranks, rank).run()
        graphs.append(graph)
    x = np.random.default_rng(9).normal(size=(2, 5, HIDDEN)).astype(np.float32)
    expected = OrtGraph(weights)(x=x)[LOGITS]
    found = OrtGraph(merged(graphs))(x=x)
    for rank in range(ranks):
        np.testing.assert_allclose(found[f"{rank}/{LOGITS}"], expected, rtol=1e-4, atol=1e-4)
    return graphs


def collectives(graph):
    return [node.op_type for node in graph.graph if is_collective(node)]


def shapes(graph):
    return {name: item.weight.shape for name, item in parameters(graph).items()}


def norm(b, x):
    return rms_norm(b, x, f"norm.{HIDDEN}", 1e-5)


def test_two_branches_that_are_added_share_one_sum():
    """Attention and MLP side by side, as in GPT-J: y = x + (A₂ relu(A₁ x) + B₂ relu(B₁ x))."""

    def write(b, x):
        branches = []
        for name in "ab":
            inner = linear(b, x, f"{name}1.{INNER}x{HIDDEN}")
            active = b.op("Relu", inner, name=f"{name}.relu")
            branches.append(linear(b, active, f"{name}2.{HIDDEN}x{INNER}"))
        both = b.op("Add", *branches, name="both")
        return norm(b, b.op("Add", x, both, name="residual"))

    assert collectives(cut(write, 4)[0]) == ["AllReduce"]


def test_a_sum_that_is_read_twice_is_made_once():
    def write(b, x):
        inner = b.op("Relu", linear(b, x, f"a.{INNER}x{HIDDEN}"), name="relu")
        y = linear(b, inner, f"b.{HIDDEN}x{INNER}", bias=False)
        return b.op("Mul", norm(b, y), y, name="both")

    assert collectives(cut(write)[0]) == ["AllReduce"]


def test_biases_go_with_outputs_and_are_added_once_behind_sums():
    def write(b, x):
        weights = b._weights
        weights["a.bias"], weights["b.bias"] = weights[f"z.{INNER}.w"], weights[f"z.{HIDDEN}.w"]
        weights["a.weight"] = weights[f"z.{INNER}x{HIDDEN}.w"]
        weights["b.weight"] = weights[f"z.{HIDDEN}x{INNER}.w"]
        inner = b.op("Relu", linear(b, x, "a", bias=True), name="relu")
        return norm(b, linear(b, inner, "b", bias=True))

    vectors = [shape for shape in shapes(cut(write)[0]).values() if len(shape) == 1]
    assert vectors == [(INNER // 2,), (HIDDEN,), (HIDDEN,)]


def heads_of(b, x, name, count=HEADS):
    flat = linear(b, x, f"{name}.{count * SIZE}x{HIDDEN}")
    shape = b.integers(f"shape_{count}", 0, 0, count, SIZE)
    split = b.op("Reshape", flat, shape, name=f"{name}.r", shape=(BATCH, SEQUENCE, count, SIZE))
    turned = (BATCH, count, SEQUENCE, SIZE)
    return b.op("Transpose", split, name=f"{name}.t", shape=turned, perm=(0, 2, 1, 3))


def attended(b, q, k, v, mask=None):
    inputs = [q, k, v] + ([] if mask is None else [mask])
    mixed = b.op("Attention", *inputs, name="Attention", scale=0.4)
    turned = (BATCH, SEQUENCE, HEADS, SIZE)
    back = b.op("Transpose", mixed, name="back", shape=turned, perm=(0, 2, 1, 3))
    width = HEADS * SIZE
    flat = b.integers("flat", 0, 0, width)
    return b.op("Reshape", back, flat, name="joined", shape=(BATCH, SEQUENCE, width))


def out(b, x):
    return norm(b, linear(b, x, f"o.{HIDDEN}x{HEADS * SIZE}"))


def test_a_bias_of_the_scores_by_head_is_cut_by_head():
    """ALiBi: a slope for each head."""

    def write(b, x):
        slopes = b.constant(
            "slopes", np.arange(1, 1 + HEADS, dtype=np.float32)[None, :, None, None]
        )
        steps = b.constant("steps", np.tile(-np.arange(5, dtype=np.float32), (5, 1)))
        bias = b.op("Mul", slopes, steps, name="alibi", shape=(1, HEADS, 5, 5))
        return out(b, attended(b, *(heads_of(b, x, name) for name in "qkv"), bias))

    graphs = cut(write)
    assert shapes(graphs[0])[f"q.{HEADS * SIZE}x{HIDDEN}.weight"] == (HEADS * SIZE // 2, HIDDEN)


def test_a_gate_on_what_attention_gives_is_cut_by_head():
    def write(b, x):
        mixed = attended(b, *(heads_of(b, x, name) for name in "qkv"))
        gate = b.op("Sigmoid", linear(b, x, f"g.{HEADS * SIZE}x{HIDDEN}"), name="gate")
        return out(b, b.op("Mul", mixed, gate, name="gated"))

    graphs = cut(write)
    assert shapes(graphs[1])[f"g.{HEADS * SIZE}x{HIDDEN}.weight"] == (HEADS * SIZE // 2, HIDDEN)
    assert collectives(graphs[0]) == ["AllReduce"]


def test_keys_that_a_norm_makes_are_cut_where_attention_reads_them():
    """A norm over all keys together keeps their layer whole; queries and values are cut."""

    def write(b, x):
        q, v = heads_of(b, x, "q"), heads_of(b, x, "v", 2)
        flat = linear(b, x, f"k.{2 * SIZE}x{HIDDEN}")
        normed = rms_norm(b, flat, f"kn.{2 * SIZE}", 1e-5)
        shape = b.integers("shape_2", 0, 0, 2, SIZE)
        split = b.op("Reshape", normed, shape, name="k.r", shape=(BATCH, SEQUENCE, 2, SIZE))
        k = b.op(
            "Transpose", split, name="k.t", shape=(BATCH, 2, SEQUENCE, SIZE), perm=(0, 2, 1, 3)
        )
        return out(b, attended(b, q, k, v))

    found = shapes(cut(write)[0])
    assert found[f"k.{2 * SIZE}x{HIDDEN}.weight"] == (2 * SIZE, HIDDEN)
    assert found[f"v.{2 * SIZE}x{HIDDEN}.weight"] == (SIZE, HIDDEN)


def test_neighbours_side_by_side_are_cut_each():
    """conv1, then conv2 over [c[t-1]; c[t]]: rank r needs its columns of both halves."""

    def write(b, x):
        c = linear(b, x, f"c1.{INNER}x{HIDDEN}")
        pads = b.integers("pads", 0, 1, 0, 0, -1, 0)
        past = b.op("Pad", c, pads, name="past")
        beside = b.op("Concat", past, c, name="beside", shape=(BATCH, SEQUENCE, 2 * INNER), axis=-1)
        return norm(b, linear(b, beside, f"c2.{HIDDEN}x{2 * INNER}"))

    graphs = cut(write, 4)
    view = parameters(graphs[1])[f"c2.{HIDDEN}x{2 * INNER}.weight"].weight
    assert view.ranges == ((4, 8), (INNER + 4, INNER + 8))


def test_a_joint_with_what_is_not_cut_stays_whole():
    def write(b, x):
        a = linear(b, x, f"a.{INNER}x{HIDDEN}")
        width = INNER + HIDDEN
        beside = b.op("Concat", a, x, name="beside", shape=(BATCH, SEQUENCE, width), axis=2)
        y = linear(b, beside, f"b.{HIDDEN}x{width}")
        inner = b.op("Relu", linear(b, y, f"c.{INNER}x{HIDDEN}"), name="relu")
        return norm(b, linear(b, inner, f"d.{HIDDEN}x{INNER}"))

    graphs = cut(write)
    assert plan(built(write), 2, 1).notes == (
        f"a.{INNER}x{HIDDEN}.weight: whole on every rank: beside joins it with what is not cut",
    )
    assert collectives(graphs[0]) == ["AllReduce"]


def test_in_a_chain_every_other_layer_sums():
    def write(b, x):
        y = linear(b, x, f"a.{INNER}x{HIDDEN}")
        y = linear(b, y, f"b.{INNER}x{INNER}")
        y = linear(b, y, f"c.{INNER}x{INNER}")
        return norm(b, linear(b, y, f"d.{HIDDEN}x{INNER}"))

    graphs = cut(write)
    assert collectives(graphs[0]) == ["AllReduce", "AllReduce"]
    found = list(shapes(graphs[0]).values())
    half = INNER // 2
    assert found[:4] == [(half, HIDDEN), (INNER, half), (half, INNER), (HIDDEN, half)]


def test_a_weight_with_two_uses_stays_whole():
    def write(b, x):
        inner = b.op("Relu", linear(b, x, f"a.{INNER}x{HIDDEN}"), name="relu")
        y = linear(b, inner, f"b.{HIDDEN}x{INNER}")
        again = linear(b, y, "again", weight=f"a.{INNER}x{HIDDEN}.weight")
        other = b.op("Relu", linear(b, y, f"c.{INNER}x{HIDDEN}"), name="relu2")
        mixed = linear(b, b.op("Softmax", again, name="softmax"), f"d.{HIDDEN}x{INNER}")
        return norm(b, b.op("Add", mixed, linear(b, other, f"e.{HIDDEN}x{INNER}"), name="sum"))

    found = shapes(cut(write)[0])
    assert found[f"a.{INNER}x{HIDDEN}.weight"] == (INNER, HIDDEN)
    assert found[f"c.{INNER}x{HIDDEN}.weight"] == (INNER // 2, HIDDEN)


def test_groups_are_found_by_where_outputs_meet():
    def write(b, x):
        gate, up = (linear(b, x, f"{name}.{INNER}x{HIDDEN}") for name in ("gate", "up"))
        gated = b.op("Mul", gate, up, name="gated")
        return norm(b, linear(b, gated, f"down.{HIDDEN}x{INNER}"))

    model = built(write)
    (group,) = groups(model)
    assert [source.name for source in group.sources] == [
        f"gate.{INNER}x{HIDDEN}.weight",
        f"up.{INNER}x{HIDDEN}.weight",
    ]
    assert [sink.name for sink in group.sinks] == [f"down.{HIDDEN}x{INNER}.weight"]
    assert len(linears(model)) == 3


def test_uneven_parts_are_gathered_with_their_lengths():
    def write(b, x):
        return linear(b, norm(b, x), f"head.27x{HIDDEN}")

    graphs = cut(write, 2)
    gather = next(node for node in graphs[0].graph if node.op_type == ALL_GATHER)
    assert list(gather.attributes["lengths"].as_ints()) == [16, 11]
    even = all_gather(gather.inputs[0], 2, [8, 8])
    assert "lengths" not in even.attributes
    assert even.outputs[0].shape[2] == 16


def test_an_id_of_another_rank_gives_zeros():
    b = GraphBuilder(Weights())
    ids = b.input("ids", ir.DataType.INT64, (BATCH, SEQUENCE))
    table = b.parameter("table.4x3.weight")
    rows = b.op("Gather", table, ids, name="rows", shape=(BATCH, SEQUENCE, 3), axis=0)
    model = b.model([b.op("Identity", rows, name="y")], name="test")
    look_up_own_rows(model.graph, next(iter(model.graph)), (10, 14))
    found = OrtGraph(model)(ids=np.array([[9, 10, 13, 14]]))["y"][0]
    values = table.const_value.weight.array
    np.testing.assert_array_equal(found, [np.zeros(3), values[0], values[3], np.zeros(3)])


def test_a_cut_through_an_index_is_a_mistake():
    part = Part(2, (((0, 6),), ((6, 12),)), 12)
    assert part.on(1, 4).ranges == (((0, 2),), ((2, 4),))
    with pytest.raises(AssertionError, match="goes through"):
        part.on(1, 3)
