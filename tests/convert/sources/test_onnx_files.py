from __future__ import annotations

import numpy as np
import onnx
import pytest

from convert.errors import BadHeaderError, MissingFileError
from convert.sources.onnx_files import list_onnx


@pytest.fixture
def saved(tmp_path):
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tiny",
        [info("x", onnx.TensorProto.FLOAT, ["batch", 300])],
        [info("y", onnx.TensorProto.FLOAT, ["batch", 2])],
        [onnx.numpy_helper.from_array(np.ones((300, 2), "f4"), "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    onnx.helper.set_model_props(model, {"author": "tests"})
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    return path


def test_initializers_and_signature_without_the_external_data(saved):
    saved.with_name("model.onnx_data").unlink()
    listing = list_onnx(saved)
    (weight,) = listing.tensors
    assert (weight.name, weight.shape, weight.nbytes) == ("w", (300, 2), 2400)
    assert weight.encoding == "f32"
    assert listing.metadata["inputs"] == {"x": "f32 [batch, 300]"}
    assert listing.metadata["outputs"] == {"y": "f32 [batch, 2]"}
    assert listing.metadata["opset"] == {"": 21}
    assert listing.metadata["author"] == "tests"


def test_bytes_that_are_no_model(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(BadHeaderError, match=r"x\.onnx"):
        list_onnx(tmp_path / "x.onnx")


def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError):
        list_onnx(tmp_path / "no.onnx")
