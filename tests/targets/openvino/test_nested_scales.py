"""Scales of scales: shapes, values, and weights that stay as codes whatever the shape."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from convert.parameter import Parameter
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.openvino.nested_scales import nested_shapes
from targets.openvino.stored import value_of
from targets.openvino.weights import stored_weight
from tests.targets.openvino.layers import weight_types

RAGGED_ROWS, RAGGED_GROUPS = (13, 64), (8, 16 * 300)


@pytest.mark.parametrize(
    ("rows", "groups", "shapes"),
    [
        (8192, 128, [(4096, 256), (4096, 1)]),
        (8192, 512, [(16384, 256), (16384, 1)]),
        (2048, 32, [(256, 256), (256, 1)]),
        (576, 9, [(72, 72), (72, 1)]),
        (100, 172, [(100, 172), (100, 1)]),
        (13, 32, [(13, 32, 1), (2, 1, 1)]),
        (8, 300, [(8, 300, 1), (8, 2, 1)]),
    ],
)
def test_one_super_scale_and_what_it_scales_are_a_row_where_that_is_possible(rows, groups, shapes):
    plane = encoding("nf4_dq").planes(64 * groups)[2]
    found = nested_shapes(rows, groups, plane)
    assert [found["scales"], found["super_scales"]] == shapes


def filled(chosen, rows):
    """A model ``x [.., columns] -> x @ W.T`` with W stored, and what W decodes to."""
    stored = stored_weight(Parameter(ArrayWeight("w", rows), chosen))
    planes = chosen.encode(rows)
    x = ops.parameter([-1, -1, rows.shape[1]], np.float32)
    model = openvino.Model(
        [ops.matmul(x, stored.node, False, True)],
        [x, *(node for node, _ in stored.placeholders)],
        "product",
    )
    for (node, _), data in zip(stored.placeholders, planes, strict=True):
        kind, shape = node.get_element_type(), node.get_output_shape(0)
        tensor = openvino.Tensor(kind, shape)
        tensor.data.reshape(-1).view(np.uint8)[:] = data
        constant = ops.constant(tensor)
        node.output(0).replace(constant.output(0))
        model.remove_parameter(node)
    return model, chosen.decode(planes, *rows.shape)


def matrix(model):
    (product,) = (op for op in model.get_ops() if op.get_type_name() == "MatMul")
    return product.input_value(1).get_node()


@pytest.mark.parametrize("name", ["nf4", "nf4_g16", "nf4_g128", "nf4_dq", "nf4_dq_g32"])
@pytest.mark.parametrize("shape", [(256, 512), (40, 2048), (24, 576), (13, 640), (8, 19200)])
def test_products_with_few_and_many_rows_are_right_and_weights_stay_codes(name, shape):
    rows = np.random.default_rng(0).standard_normal(shape, np.float32)
    chosen = encoding(name).fit(shape[1])
    model, decoded = filled(chosen, rows)
    assert np.array_equal(value_of(matrix(model)), decoded)
    for hint, tolerance in (("f32", 2e-6), ("bf16", 2e-2)):
        compiled = openvino.compile_model(
            model,
            "CPU",
            {"INFERENCE_PRECISION_HINT": hint, "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"},
        )
        assert weight_types(compiled) == {"nf4": 1}
        for tokens in (1, 2, 3, 17):
            x = np.random.default_rng(tokens).standard_normal((1, tokens, shape[1]), np.float32)
            found, expected = compiled([x])[0], x.astype(np.float64) @ decoded.T
            assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("shape", [(8, 1024), RAGGED_ROWS, RAGGED_GROUPS])
def test_the_runtime_evaluates_the_subgraph_to_what_we_decode(shape):
    rows = np.random.default_rng(1).standard_normal(shape, np.float32)
    model, decoded = filled(encoding("nf4_dq_g16"), rows)
    folded = openvino.Model([ops.result(matrix(model))], [], "matrix")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    found = openvino.compile_model(folded, "CPU", exact)([])[0]
    assert np.array_equal(found, decoded)


LOAD = """
import re, sys
from pathlib import Path
import numpy as np, openvino

def private():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"RssAnon:\\s+(\\d+)", status)[1])

model = openvino.Core().read_model(sys.argv[1])
before = private()
compiled = openvino.compile_model(model, "CPU")
for tokens in (1, 9):
    compiled([np.ones((1, tokens, 8192), np.float32)])
print(private() - before)
"""


@pytest.mark.slow
def test_loading_takes_memory_as_for_codes_with_float32_scales(tmp_path):
    """The runtime keeps one copy of the codes in an order of its own, and widens the scales."""
    chosen, shape = encoding("nf4_dq"), (16384, 8192)
    weights = shape[0] * shape[1]
    model, _ = filled(chosen, np.random.default_rng(0).standard_normal(shape, np.float32))
    openvino.save_model(model, tmp_path / "m.xml", compress_to_fp16=False)
    stored = (tmp_path / "m.bin").stat().st_size
    assert stored == pytest.approx(chosen.nbytes(*shape), rel=1e-3)
    command = [sys.executable, "-c", LOAD, str(tmp_path / "m.xml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = weights / 2 + 4 * weights / 64
    assert int(ended.stdout) < 1.5 * expected
