from __future__ import annotations

import numpy as np
import pytest

from convert.errors import BadHeaderError, MissingFileError, TruncatedFileError
from convert.sources.openvino_files import list_openvino


@pytest.fixture
def saved(tmp_path):
    import openvino as ov
    from openvino import opset13 as ops

    x = ops.parameter([-1, 8], np.float32, name="x")
    weight = ops.constant(np.ones((4, 8), np.uint8) * 3, dtype=ov.Type.u4, name="codes")
    scale = ops.constant(np.ones((4, 1), np.float32), name="scale")
    product = ops.matmul(x, ops.multiply(ops.convert(weight, "f32"), scale), False, True)
    model = ov.Model([ops.result(product, name="y")], [x], "tiny")
    model.set_rt_info("4", ["nncf", "group"])
    ov.save_model(model, tmp_path / "openvino_model.xml", compress_to_fp16=False)
    return tmp_path / "openvino_model.xml"


def test_constants_operators_and_information(saved):
    listing = list_openvino(saved)
    constants = {tensor.name: tensor for tensor in listing.tensors}
    codes, scale = constants["codes"], constants["scale"]
    assert (codes.shape, codes.encoding, codes.nbytes) == ((4, 8), "u4", 16)
    assert (scale.shape, scale.encoding, scale.nbytes) == ((4, 1), "f32", 16)
    assert listing.metadata["inputs"] == ["x"]
    assert listing.metadata["outputs"] == ["y"]
    assert listing.metadata["operators"]["MatMul"] == 1
    assert listing.metadata["nncf.group"] == "4"


def test_a_bin_that_is_cut_short(saved):
    binary = saved.with_suffix(".bin")
    binary.write_bytes(binary.read_bytes()[:-1])
    with pytest.raises(TruncatedFileError):
        list_openvino(saved)


@pytest.mark.parametrize("suffix", [".bin", ".xml"])
def test_one_of_the_two_files_missing(saved, suffix):
    saved.with_suffix(suffix).unlink()
    with pytest.raises(MissingFileError):
        list_openvino(saved)


def constant(data):
    return f'<net><layers><layer name="c" type="Const">{data}</layer></layers></net>'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<net>",
        "<html/>",
        constant(""),
        constant('<data shape="x" size="4"/>'),
        constant('<data shape="1" size="-4" offset="0"/>'),
        constant('<data shape="1" size="4"/>'),
    ],
)
def test_xml_that_is_no_ir(tmp_path, text):
    (tmp_path / "m.bin").write_bytes(bytes(64))
    (tmp_path / "m.xml").write_text(text)
    with pytest.raises(BadHeaderError, match=r"m\.xml"):
        list_openvino(tmp_path / "m.xml")
