from __future__ import annotations

import json

import onnx
import pytest
import torch

from convert.errors import BrokenInputError, MissingFileError, UnavailableSourceError
from convert.inspection import Inspection, inspect
from convert.sources.listing import TensorInfo
from tests.support.gguf_files import TinyGguf
from tests.support.safetensors_bytes import entry, safetensors_bytes, write_checkpoint

SPLIT_KEYS = {"split.no", "split.count", "split.tensors.count"}


def test_a_checkpoint_folder(tmp_path):
    shards = {"m-1.safetensors": {"a": [2]}, "m-2.safetensors": {"b": [30, 2]}}
    folder = write_checkpoint(tmp_path / "model", {"model_type": "llama"}, shards)
    found = inspect(folder)
    assert (found.name, found.kind) == ("model", "safetensors")
    assert found.tensors == (TensorInfo("a", (2,), "f32", 8), TensorInfo("b", (30, 2), "f32", 240))
    assert found.metadata == {"model_type": "llama"}


def test_a_quantized_checkpoint_is_listed_although_it_cannot_be_converted(tmp_path):
    header = {"a": entry([4], 0, 4, "F8_E4M3")}
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(header, bytes(4)))
    assert inspect(tmp_path).tensors[0].encoding == "f8_e4m3"


def test_a_pickle_folder(tmp_path):
    torch.save({"a": torch.ones(2, 3).half()}, tmp_path / "pytorch_model.bin")
    found = inspect(tmp_path)
    assert (found.kind, found.tensors) == ("pytorch", (TensorInfo("a", (2, 3), "f16", 12),))


def test_a_gguf_file_and_its_folder(tmp_path):
    path = TinyGguf(layers=1).write(tmp_path / "tiny.gguf")
    found = inspect(path)
    assert found.kind == "gguf"
    by_name = {tensor.name: tensor for tensor in found.tensors}
    assert by_name["blk.0.attn_k.weight"] == TensorInfo(
        "blk.0.attn_k.weight", (32, 64), "q8_0", 32 * 2 * 34
    )
    assert found.metadata["llama.block_count"] == 1
    assert inspect(tmp_path).tensors == found.tensors


def test_the_shards_of_a_gguf_and_their_folder(tmp_path):
    whole = inspect(TinyGguf().write(tmp_path / "tiny.gguf"))
    (tmp_path / "split").mkdir()
    first = TinyGguf().write(tmp_path / "split" / "tiny.gguf", split_max_size=9000)
    assert inspect(first).tensors == whole.tensors
    assert inspect(first.parent).tensors == whole.tensors
    assert inspect(first).metadata.keys() == whole.metadata.keys() | SPLIT_KEYS


def test_an_onnx_folder(tmp_path):
    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "model.onnx")
    assert inspect(tmp_path).kind == "onnx"


def test_an_openvino_folder_shows_the_model_and_not_the_tokenizer(tmp_path):
    ir = '<net><layers><layer name="{}" type="Parameter"/></layers></net>'
    for name in ("openvino_model", "openvino_detokenizer"):
        (tmp_path / f"{name}.xml").write_text(ir.format(name))
        (tmp_path / f"{name}.bin").touch()
    found = inspect(tmp_path)
    assert (found.kind, found.metadata["inputs"]) == ("openvino", ["openvino_model"])


def test_json_holds_everything_and_sums(tmp_path):
    tiny = TinyGguf(layers=1)
    found = inspect(tiny.write(tmp_path / "tiny.gguf"))
    value = json.loads(found.as_json())
    assert value["bytes"] == sum(tensor["bytes"] for tensor in value["tensors"])
    assert sum(item["tensors"] for item in value["encodings"].values()) == len(value["tensors"])
    assert value["metadata"]["tokenizer.ggml.tokens"]["items"] == len(tiny.tokens)
    assert len(value["tensors"]) == len(found.tensors)


def test_text_is_a_table_with_sums():
    tensors = (
        TensorInfo("weight", (1000, 64), "q8_0", 68_000),
        TensorInfo("shape", (2,), "i64", 16),
    )
    text = Inspection("model", "openvino", tensors, {"k": "a\nb", "long": "x" * 200}).as_text()
    lines = text.splitlines()
    assert lines[0] == "model: openvino, 2 tensors, 68,016 bytes"
    assert "k: a\\nb" in lines
    assert f"long: {'x' * 97}..." in lines
    assert "weight  1000 x 64  q8_0  68,000" in lines
    assert "and 1 of less than 64 bytes" in lines
    assert "q8_0  1 tensors  64,000 elements  68,000 bytes" in lines


def test_encodings_are_sorted_by_bytes():
    tensors = [TensorInfo("a", (1,), "f32", 4), TensorInfo("b", (9,), "bf16", 18)]
    found = Inspection("m", "safetensors", tuple(tensors), {}).encodings()
    assert list(found.items()) == [("bf16", (1, 9, 18)), ("f32", (1, 1, 4))]


def test_nothing_is_there(tmp_path):
    with pytest.raises(UnavailableSourceError, match="nothing at"):
        inspect(tmp_path / "no")


def test_a_file_of_an_unknown_kind(tmp_path):
    (tmp_path / "x.txt").touch()
    with pytest.raises(UnavailableSourceError, match="no known kind"):
        inspect(tmp_path / "x.txt")


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(MissingFileError):
        inspect(tmp_path)


@pytest.mark.parametrize("name", ["x.gguf", "x.safetensors", "x.onnx", "x.xml"])
def test_damaged_files_are_refused_by_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff" * 50)
    (tmp_path / "x.bin").touch()
    with pytest.raises(BrokenInputError, match="x"):
        inspect(tmp_path / name)
