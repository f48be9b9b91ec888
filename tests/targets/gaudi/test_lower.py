import numpy as np
import onnx_ir as ir
import pytest
import torch

from convert.errors import PassRefusedError
from convert.graph import parameters
from convert.weights import read_float32
from passes.kv_cache import DynamicCache, StaticCache
from passes.lfa_fusion import LfaFusion
from targets.gaudi.audit import audit
from targets.gaudi.constants import fold_constants
from targets.gaudi.lower import StaticDecoder, cache_dtypes
from targets.gaudi.steps import Step, with_last_uses
from tests.support.models import small_model
from tests.support.ort import relative_error

TOKENS, LENGTH = 1, 16


def decoder(small, tokens=TOKENS, batch=1, passes=()):
    graph = small.graph()
    for rewrite in (*passes, StaticCache(batch=batch, tokens=tokens, length=LENGTH)):
        rewrite(graph)
    weights = {
        name: torch.tensor(read_float32(one.weight)) for name, one in parameters(graph).items()
    }
    module = StaticDecoder(graph)
    weights = {name: weights[name] for name in module.weights}
    caches = {name: torch.zeros(shape) for name, shape in module.caches.items()}
    return Held(module, weights, caches)


class Held:
    """A module with its weights and caches."""

    def __init__(self, module, weights, caches):
        self.module, self.weights, self.caches = module, weights, caches

    def __call__(self, *inputs):
        return self.module(*inputs, self.weights, self.caches)

    def exported(self, *inputs):
        return torch.export.export(self.module, (*inputs, self.weights, self.caches))

    def through(self, program):
        return Held(program.module(), self.weights, self.caches)


def inputs(token, position, batch=1):
    mask = (torch.arange(LENGTH) <= position).long().expand(batch, LENGTH).contiguous()
    return (
        torch.full((batch, 1), token),
        mask,
        torch.full((batch, 1), position),
        torch.tensor([position]),
    )


@pytest.fixture(scope="module")
def small():
    return small_model("llama")


@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "qwen3"])
def test_the_decode_step_exports_as_one_graph_without_symbolic_sizes(model_type):
    small = small_model(model_type)
    program = decoder(small).exported(*inputs(3, 0))
    assert program.range_constraints == {}
    values = [node.meta["val"] for node in program.graph.nodes if "val" in node.meta]
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    assert len(tensors) > 50
    audit(program)
    for tensor in tensors:
        assert all(type(size) is int for size in tensor.shape)
    called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert sum(name.startswith("aten.index_copy") for name in called) == 4
    assert not any("aten.item" in name or "_local_scalar" in name for name in called)


def test_the_exported_step_continues_as_the_module_does(small):
    module, other = decoder(small), decoder(small)
    exported = other.through(other.exported(*inputs(3, 0)))
    for position, token in enumerate([3, 1, 4, 1, 5]):
        expected = module(*inputs(token, position))
        assert torch.allclose(exported(*inputs(token, position)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "passes", [(), (LfaFusion(),), (LfaFusion("collapsed"),)], ids=["conv", "pair", "collapsed"]
)
def test_what_convolutions_remember_is_replaced_in_place(passes):
    yuan = small_model("yuan")
    module, other = decoder(yuan, passes=passes), decoder(yuan, passes=passes)
    program = other.exported(*inputs(3, 0))
    audit(program)
    exported = other.through(program)
    ids = [3, 1, 4, 1, 5, 9]
    expected = torch.from_numpy(yuan.logits(np.array([ids])))[0]
    for position, token in enumerate(ids):
        for step in (module, exported):
            assert torch.allclose(
                step(*inputs(token, position))[0, 0], expected[position], atol=1e-4
            )
    assert any(cache.dim() == 3 for cache in module.caches.values())


def test_a_batch_is_decoded_row_by_row(small):
    module, batched = decoder(small), decoder(small, batch=2)
    for position, token in enumerate([3, 1, 4]):
        one = module(*inputs(token, position))
        two = batched(*inputs(token, position, batch=2))
        assert torch.allclose(two, one.expand(2, -1, -1), atol=1e-5)


def test_the_cache_is_written_in_place_at_the_position(small):
    module = decoder(small)
    module(*inputs(3, 5))
    for cache in module.caches.values():
        written = cache.abs().sum((0, 1, 3)) > 0
        assert written.tolist() == [slot == 5 for slot in range(LENGTH)]


def test_the_module_holds_no_weight_and_names_those_it_reads(small):
    module = decoder(small).module
    assert sum(buffer.numel() for buffer in module.buffers()) < 100
    assert set(module.weights) == set(small.weights)


def test_caches_are_of_the_dtype_that_is_computed_in(small):
    held = decoder(small)
    weights = {name: weight.bfloat16() for name, weight in held.weights.items()}
    assert set(cache_dtypes(held.module, weights).values()) == {torch.bfloat16}


def test_bloom_attends_with_a_mask_of_numbers():
    bloom = small_model("bloom")
    held = decoder(bloom)
    program = held.exported(*inputs(3, 0))
    audit(program)
    exported = held.through(program)
    ids = [3, 1, 4, 1, 5, 9]
    expected = torch.from_numpy(bloom.logits(np.array([ids])))[0]
    for position, token in enumerate(ids):
        found = exported(*inputs(token, position))[0, 0]
        assert relative_error(found.numpy(), expected[position].numpy()) < 1e-4


def test_steps_that_lead_nowhere_are_left_out_and_values_die_where_they_are_last_read():
    def step(inputs, output):
        return Step(torch.add, {}, inputs, (output,))

    chain = [step(("x",), "a"), step(("a",), "b"), step(("a", "b"), "c"), step(("a",), "unread")]
    kept = with_last_uses(chain, {"c"})
    assert [one.outputs for one in kept] == [("a",), ("b",), ("c",)]
    assert [one.last_uses for one in kept] == [(), (), ("a", "b")]


def test_only_constants_and_static_shapes_are_folded(small):
    graph = small.graph()
    StaticCache(batch=1, tokens=1, length=LENGTH)(graph)
    folded = fold_constants(graph.graph)
    assert "query_steps" in folded
    assert not {"query_slots", "logits", *small.weights} & set(folded)


@pytest.mark.parametrize("cache", [None, DynamicCache()], ids=["no cache", "dynamic"])
def test_a_graph_in_another_form_is_refused(small, cache):
    graph = small.graph()
    if cache is not None:
        cache(graph)
    with pytest.raises(PassRefusedError, match="static"):
        StaticDecoder(graph)


def static_graph(*nodes, inputs=()):
    graph = ir.Graph(inputs, nodes[-1].outputs, nodes=nodes, opset_imports={"": 24}, name="g")
    return ir.Model(graph, ir_version=11, metadata_props={"kv_cache.form": "static"})


def value(name, shape=(1, 4)):
    return ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.INT64))


def test_an_unknown_operator_is_refused_by_name():
    x = value("input_ids")
    node = ir.node("Det", [x], outputs=[value("logits")], name="the_det")
    with pytest.raises(PassRefusedError, match=r"Det has no lowering.*the_det"):
        StaticDecoder(static_graph(node, inputs=[x]))


def test_a_shape_that_depends_on_the_data_is_refused():
    x = value("input_ids")
    node = ir.node("Reshape", [x, x], outputs=[value("logits")], name="turn")
    with pytest.raises(PassRefusedError, match=r"depends on the data.*turn"):
        StaticDecoder(static_graph(node, inputs=[x]))


def test_a_symbolic_shape_is_refused():
    x = value("input_ids", ("batch", 4))
    node = ir.node("Shape", [x], outputs=[value("logits", (2,))], name="size")
    with pytest.raises(PassRefusedError, match=r"not static.*size"):
        StaticDecoder(static_graph(node, inputs=[x]))


def test_constants_are_computed_once():
    x = value("input_ids")
    two = ir.node("Constant", [], attributes={"value": ir.tensor(np.array([2]))})
    two.outputs[0].name = "two"
    four = ir.node("Add", [two.outputs[0], two.outputs[0]], outputs=[value("four", (1,))])
    shape = ir.node("Shape", [x], outputs=[value("shape", (2,))])
    turned = ir.node("Reshape", [x, shape.outputs[0]], outputs=[value("turned")])
    node = ir.node("Add", [turned.outputs[0], four.outputs[0]], outputs=[value("logits")])
    module = StaticDecoder(static_graph(two, four, shape, turned, node, inputs=[x]))
    ids = torch.arange(4).unsqueeze(0)
    assert module(ids, ids, ids, ids[0, :1], {}, {}).tolist() == [[4, 5, 6, 7]]
    assert len(module._steps) == 2
