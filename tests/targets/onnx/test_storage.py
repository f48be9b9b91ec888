import numpy as np
import onnx_ir as ir
import pytest

from convert.errors import UnsupportedEncodingError
from convert.parameter import Parameter
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.onnx.lower import DataFile
from targets.onnx.storage import store


def stored(name, shape=(6, 64)):
    weight = ArrayWeight("w", np.zeros(shape, np.float32))
    return store(Parameter(weight, encoding(name) if name else None), DataFile().allocate)


def kinds(found):
    return [node.op_type for node in found.nodes]


def initializers(found):
    return [(one.name, one.dtype.name, one.shape.numpy()) for one in found.initializers]


@pytest.mark.parametrize("name", ["f32", None])
def test_float32_needs_no_node(name):
    found = stored(name)
    assert initializers(found) == [("w", "FLOAT", (6, 64))]
    assert found.nodes == ()
    assert found.value is found.initializers[0]


@pytest.mark.parametrize(("name", "dtype"), [("f16", "FLOAT16"), ("bf16", "BFLOAT16")])
def test_halves_are_cast(name, dtype):
    found = stored(name)
    assert initializers(found) == [("w", dtype, (6, 64))]
    assert kinds(found) == ["Cast"]


def test_int8_has_one_scale_a_row():
    found = stored("int8")
    assert initializers(found) == [("w", "INT8", (6, 64)), ("w.scales", "FLOAT16", (6,))]
    assert kinds(found) == ["Cast", "DequantizeLinear"]
    assert found.nodes[1].attributes["axis"].as_int() == 0
    assert found.value.dtype == ir.DataType.FLOAT


def test_int4_has_scales_and_zero_points_by_block():
    found = stored("int4_g32")
    assert initializers(found) == [
        ("w", "UINT4", (6, 64)),
        ("w.scales", "FLOAT16", (6, 2)),
        ("w.zero_points", "UINT4", (6, 2)),
    ]
    attributes = found.nodes[1].attributes
    assert (attributes["axis"].as_int(), attributes["block_size"].as_int()) == (1, 32)


def test_an_encoding_without_a_decoder_is_refused():
    with pytest.raises(UnsupportedEncodingError, match=r"onnx.*'w'"):
        stored("q8_0")
