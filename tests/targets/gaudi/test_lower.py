import numpy as np
import onnx_ir as ir
import pytest
import torch

from convert.errors import PassRefusedError
from convert.graph import parameters
from convert.weights import read_float32
from passes.kv_cache import DynamicCache, StaticCache
from passes.lfa_fusion import LfaFusion
from targets.gaudi.lower import CACHE_PREFIX, StaticDecoder
from tests.support.models import small_model

TOKENS, LENGTH = 1, 16


def decoder(small, tokens=TOKENS, batch=1, passes=()):
    graph = small.graph()
    for rewrite in (*passes, StaticCache(batch=batch, tokens=tokens, length=LENGTH)):
        rewrite(graph)
    weights = {
        name: torch.tensor(read_float32(one.weight)) for name, one in parameters(graph).items()
    }
    caches = {
        value.name: torch.zeros(tuple(value.shape.numpy()))
        for value in graph.graph.inputs
        if value.name.startswith(CACHE_PREFIX)
    }
    return StaticDecoder(graph, weights, caches), caches


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
    module, _ = decoder(small)
    program = torch.export.export(module, inputs(3, 0))
    assert program.range_constraints == {}
    values = [node.meta["val"] for node in program.graph.nodes if "val" in node.meta]
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    assert len(tensors) > 50
    for tensor in tensors:
        assert all(type(size) is int for size in tensor.shape)
    called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert sum(name.startswith("aten.index_copy") for name in called) == 4
    assert not any("aten.item" in name or "_local_scalar" in name for name in called)


def test_the_exported_step_continues_as_the_module_does(small):
    module, _ = decoder(small)
    exported = torch.export.export(decoder(small)[0], inputs(3, 0)).module()
    for position, token in enumerate([3, 1, 4, 1, 5]):
        expected = module(*inputs(token, position))
        assert torch.allclose(exported(*inputs(token, position)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "passes", [(), (LfaFusion(),), (LfaFusion("collapsed"),)], ids=["conv", "pair", "collapsed"]
)
def test_what_convolutions_remember_is_replaced_in_place(passes):
    yuan = small_model("yuan")
    module, caches = decoder(yuan, passes=passes)
    exported = torch.export.export(decoder(yuan, passes=passes)[0], inputs(3, 0)).module()
    ids = [3, 1, 4, 1, 5, 9]
    expected = torch.from_numpy(yuan.logits(np.array([ids])))[0]
    for position, token in enumerate(ids):
        for step in (module, exported):
            assert torch.allclose(
                step(*inputs(token, position))[0, 0], expected[position], atol=1e-4
            )
    assert any(cache.dim() == 3 for cache in caches.values())


def test_a_batch_is_decoded_row_by_row(small):
    module, _ = decoder(small)
    batched, _ = decoder(small, batch=2)
    for position, token in enumerate([3, 1, 4]):
        one = module(*inputs(token, position))
        two = batched(*inputs(token, position, batch=2))
        assert torch.allclose(two, one.expand(2, -1, -1), atol=1e-5)


def test_the_cache_is_written_in_place_at_the_position(small):
    module, caches = decoder(small)
    module(*inputs(3, 5))
    for cache in caches.values():
        written = cache.abs().sum((0, 1, 3)) > 0
        assert written.tolist() == [slot == 5 for slot in range(LENGTH)]


def test_weights_are_not_copied(small):
    graph = small.graph()
    StaticCache(batch=1, tokens=1, length=LENGTH)(graph)
    weights = {name: torch.tensor(read_float32(one)) for name, one in small.weights.items()}
    module = StaticDecoder(graph, weights, {})
    held = {tensor.data_ptr() for tensor in module.buffers()}
    assert {tensor.data_ptr() for tensor in weights.values()} <= held


@pytest.mark.parametrize("cache", [None, DynamicCache()], ids=["no cache", "dynamic"])
def test_a_graph_in_another_form_is_refused(small, cache):
    graph = small.graph()
    if cache is not None:
        cache(graph)
    with pytest.raises(PassRefusedError, match="static"):
        StaticDecoder(graph, {}, {})


def static_graph(*nodes, inputs=()):
    graph = ir.Graph(inputs, nodes[-1].outputs, nodes=nodes, opset_imports={"": 24}, name="g")
    return ir.Model(graph, ir_version=11, metadata_props={"kv_cache.form": "static"})


def value(name, shape=(1, 4)):
    return ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.INT64))


def test_an_unknown_operator_is_refused_by_name():
    x = value("input_ids")
    node = ir.node("Det", [x], outputs=[value("logits")], name="the_det")
    with pytest.raises(PassRefusedError, match=r"Det has no lowering.*the_det"):
        StaticDecoder(static_graph(node, inputs=[x]), {}, {})


def test_a_shape_that_depends_on_the_data_is_refused():
    x = value("input_ids")
    node = ir.node("Reshape", [x, x], outputs=[value("logits")], name="turn")
    with pytest.raises(PassRefusedError, match=r"depends on the data.*turn"):
        StaticDecoder(static_graph(node, inputs=[x]), {}, {})


def test_a_symbolic_shape_is_refused():
    x = value("input_ids", ("batch", 4))
    node = ir.node("Shape", [x], outputs=[value("logits", (2,))], name="size")
    with pytest.raises(PassRefusedError, match=r"not static.*size"):
        StaticDecoder(static_graph(node, inputs=[x]), {}, {})


def test_constants_are_computed_once():
    x = value("input_ids")
    two = ir.node("Constant", [], attributes={"value": ir.tensor(np.array([2]))})
    two.outputs[0].name = "two"
    four = ir.node("Add", [two.outputs[0], two.outputs[0]], outputs=[value("four", (1,))])
    shape = ir.node("Shape", [x], outputs=[value("shape", (2,))])
    turned = ir.node("Reshape", [x, shape.outputs[0]], outputs=[value("turned")])
    node = ir.node("Add", [turned.outputs[0], four.outputs[0]], outputs=[value("logits")])
    module = StaticDecoder(static_graph(two, four, shape, turned, node, inputs=[x]), {}, {})
    ids = torch.arange(4).unsqueeze(0)
    assert module(ids, ids, ids, ids[0, :1]).tolist() == [[4, 5, 6, 7]]
    assert len(module._steps) == 2
