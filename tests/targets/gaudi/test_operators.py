"""Each entry of the operator table against onnxruntime."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper

from passes.sharding.collectives import ALL_GATHER, ALL_REDUCE
from targets.gaudi.operators import OPERATORS, STATIC_INPUTS

RANDOM = np.random.default_rng(0)


def floats(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def integers(*shape):
    return RANDOM.integers(0, 3, shape)


def bools(*shape):
    mask = RANDOM.random(shape) > 0.4
    mask[..., 0] = True
    return mask


def ints(*numbers):
    return np.array(numbers, np.int64)


CASES = {
    "Add": ([floats(2, 3), floats(3)], {}),
    "And": ([bools(2, 3), bools(3)], {}),
    "Attention": (
        [floats(2, 6, 3, 5), floats(2, 2, 7, 5), floats(2, 2, 7, 5), bools(2, 1, 3, 7)],
        {"scale": 0.3},
    ),
    "Cast": ([integers(2, 3)], {"to": 1}),
    "Concat": ([floats(2, 3), floats(2, 1)], {"axis": -1}),
    "Conv": ([floats(2, 3, 4, 1), floats(5, 3, 2, 1), floats(5)], {}),
    "Cos": ([floats(3)], {}),
    "Div": ([floats(2, 3), 2 + bools(2, 3).astype(np.float32)], {}),
    "Equal": ([integers(2, 3), integers(3)], {}),
    "Expand": ([floats(1, 3), ints(2, 1)], {}),
    "Gather": ([floats(5, 3), integers(2, 4)], {"axis": 0}),
    "GatherND": ([floats(2, 5, 3), integers(2, 4, 1)], {"batch_dims": 1}),
    "Gelu": ([floats(2, 3)], {"approximate": "tanh"}),
    "Greater": ([integers(2, 3), integers(3)], {}),
    "GreaterOrEqual": ([integers(2, 3), integers(3)], {}),
    "Identity": ([floats(3)], {}),
    "LayerNormalization": (
        [floats(2, 3), floats(3), floats(3)],
        {"axis": -1, "epsilon": 1e-3},
    ),
    "Less": ([integers(2, 3), integers(3)], {}),
    "LessOrEqual": ([integers(2, 3), integers(3)], {}),
    "MatMul": ([floats(2, 3, 4), floats(4, 5)], {}),
    "Mul": ([floats(2, 3), floats(3)], {}),
    "Neg": ([floats(3)], {}),
    "Not": ([bools(3)], {}),
    "Or": ([bools(2, 3), bools(3)], {}),
    "RMSNormalization": ([floats(2, 3), floats(3)], {"axis": -1, "epsilon": 1e-3}),
    "ReduceMax": ([integers(3, 4), ints(1)], {"keepdims": 1}),
    "Reshape": ([floats(2, 6), ints(0, -1, 3)], {}),
    "RotaryEmbedding": ([floats(2, 4, 3, 6), floats(2, 3, 3), floats(2, 3, 3)], {}),
    "Sigmoid": ([floats(3)], {}),
    "Sin": ([floats(3)], {}),
    "Slice": ([floats(4, 5), ints(1), ints(-1), ints(1), ints(2)], {}),
    "Split": ([floats(2, 7, 3)], {"axis": 1, "num_outputs": 3}),
    "Squeeze": ([floats(2, 1, 3), ints(1)], {}),
    "Sub": ([floats(2, 3), floats(3)], {}),
    "Swish": ([floats(3)], {}),
    "TensorScatter": ([floats(2, 2, 6, 3), floats(2, 2, 2, 3), ints(3, 3)], {"axis": -2}),
    "Transpose": ([floats(2, 3, 4)], {"perm": [2, 0, 1]}),
    "Unsqueeze": ([floats(2, 3), ints(0, -1)], {}),
    "Where": ([bools(2, 3), floats(3), floats(1)], {}),
}


OUTPUTS = {"Split": 3}


def by_onnxruntime(kind, inputs, attributes):
    outputs = [f"y{number}" for number in range(OUTPUTS.get(kind, 1))]
    names = [f"x{number}" for number in range(len(inputs))]
    tensors = [numpy_helper.from_array(x, name) for x, name in zip(inputs, names, strict=True)]
    given = [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors]
    node = helper.make_node(kind, names, outputs, **attributes)
    graph = helper.make_graph(
        [node], "one", given, list(map(helper.make_empty_tensor_value_info, outputs))
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, dict(zip(names, inputs, strict=True)))


def test_every_operator_has_a_case():
    # What ranks exchange needs several of them: test_collectives.py.
    assert set(CASES) == set(OPERATORS) - {ALL_GATHER, ALL_REDUCE}


@pytest.mark.parametrize("kind", CASES)
def test_it_computes_what_onnxruntime_does(kind):
    inputs, attributes = CASES[kind]
    static = STATIC_INPUTS.get(kind, ())
    given = [
        tuple(x.tolist()) if position in static else torch.tensor(x)
        for position, x in enumerate(inputs)
    ]
    if kind == "TensorScatter":  # it takes the slots themselves
        given[2] = given[2][0] + torch.arange(given[1].shape[2])
    result = OPERATORS[kind](attributes, *given)
    expected = by_onnxruntime(kind, inputs, attributes)
    found = (result,) if isinstance(result, torch.Tensor) else result
    for one, other in zip(found, expected, strict=True):
        assert one.numpy().dtype == other.dtype
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-5, atol=1e-5)


def test_attention_adds_a_mask_of_numbers_in_the_dtype_of_the_queries():
    q, k, v = (torch.tensor(floats(1, 2, size, 4)) for size in (3, 5, 5))
    mask = torch.tensor(floats(1, 2, 3, 5))
    exact = ((q @ k.mT) * 0.5 + mask).softmax(-1) @ v
    attention = OPERATORS["Attention"]
    torch.testing.assert_close(attention({"scale": 0.5}, q, k, v, mask), exact)
    low = attention({"scale": 0.5}, q.bfloat16(), k.bfloat16(), v.bfloat16(), mask)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), exact, rtol=0.05, atol=0.05)


def test_a_mask_over_tokens_leaves_activations_in_their_dtype():
    x, kept = torch.tensor([1.5, 2.5], dtype=torch.bfloat16), torch.tensor([1.0, 0.0])
    for found in (OPERATORS["Mul"]({}, x, kept), OPERATORS["Mul"]({}, kept, x)):
        assert (found.dtype, found.tolist()) == (torch.bfloat16, [1.5, 0.0])


def test_parts_may_have_sizes_of_their_own():
    parts = OPERATORS["Split"]({"axis": 0}, torch.arange(5), (2, 3))
    assert [part.tolist() for part in parts] == [[0, 1], [2, 3, 4]]


def test_norms_are_computed_in_float32_and_returned_in_bfloat16():
    x = torch.tensor([[300.0, 1.0, -2.0, 5.0]], dtype=torch.bfloat16)
    scale = torch.ones(4, dtype=torch.bfloat16)
    found = OPERATORS["RMSNormalization"]({"epsilon": 1e-5}, x, scale)
    exact = x.double() / x.double().square().mean().sqrt()
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, exact.to(torch.bfloat16))


def test_bfloat16_activations_stay_bfloat16_beside_float32_angles():
    x = torch.ones((1, 1, 2, 4), dtype=torch.bfloat16)
    angle = torch.zeros((1, 2, 2))
    found = OPERATORS["RotaryEmbedding"]({}, x, angle.cos(), angle.sin())
    assert found.dtype == torch.bfloat16
