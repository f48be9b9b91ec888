"""An imatrix is made of a checkpoint, and scales are weighted by it instead of by a text."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from convert.__main__ import main
from convert.checkpoint import open_checkpoint
from convert.errors import BrokenInputError, RecipeError
from convert.imatrix import given_moments
from convert.manifest import read_manifest
from convert.preparation import open_source
from convert.recipe import parse_recipe
from convert.sources.gguf_file import read_gguf
from passes.encodings import encoding
from passes.encodings.weighting import WeightableEncoding
from tests.support.runs import TINY_LLAMA

NAME = "model.layers.0.mlp.down_proj.weight"


@pytest.fixture(scope="module")
def imatrix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imatrix") / "tiny.gguf"
    assert main(["imatrix", str(TINY_LLAMA), "--out", str(path), "--tokens", "256"]) == 0
    return path


def test_every_linear_layer_and_the_head_are_in_it(imatrix: Path) -> None:
    reader = gguf.GGUFReader(imatrix)
    sums = [tensor.name for tensor in reader.tensors if tensor.name.endswith(".in_sum2")]
    assert len(sums) == 36
    assert not list(imatrix.parent.glob(".*"))
    counts = {tensor.data.item() for tensor in reader.tensors if tensor.name.endswith("counts")}
    assert len(counts) == 1
    assert 128 < counts.pop() <= 256


def test_a_file_that_is_there_is_kept(imatrix: Path) -> None:
    before = imatrix.read_bytes()
    assert main(["imatrix", str(TINY_LLAMA), "--out", str(imatrix)]) == 2
    assert imatrix.read_bytes() == before


def test_scales_are_weighted_by_it(imatrix: Path, tmp_path: Path) -> None:
    command = ["run", str(TINY_LLAMA), "--to", "gguf:q4_0", "--out", str(tmp_path), "--no-gate"]
    assert main([*command, "--calibrate", "none", "--imatrix", str(imatrix)]) == 0
    manifest = read_manifest(tmp_path / "gguf-q4_0")
    assert manifest.weighting is None
    assert manifest.imatrix is not None
    assert (manifest.imatrix.file, manifest.imatrix.datasets) == ("tiny.gguf", ("tricast sample",))
    checkpoint = open_checkpoint(str(TINY_LLAMA))
    weight = checkpoint.weights[NAME]
    moments = given_moments(imatrix, checkpoint, open_source(checkpoint).config).moments.of(weight)
    stored = {record.name: record for record in manifest.tensors}[NAME].encoding
    plain = encoding(stored)
    assert isinstance(plain, WeightableEncoding)
    assert moments is not None
    (expected,) = plain.weighted(moments).encode(weight.read_rows(0, weight.rows))
    file = read_gguf(tmp_path / "gguf-q4_0" / "model.gguf")
    tensor = file.tensors["blk.0.ffn_down.weight"]
    found = np.fromfile(tensor.path, np.uint8, tensor.nbytes, offset=tensor.offset)
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(found, plain.encode(weight.read_rows(0, weight.rows))[0])


def test_one_of_another_size_is_refused(imatrix: Path, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "imatrix")
    writer.add_type("imatrix")
    writer.add_tensor("blk.0.ffn_down.weight.in_sum2", np.ones((1, 7), np.float32))
    writer.add_tensor("blk.0.ffn_down.weight.counts", np.ones((1, 1), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    checkpoint = open_checkpoint(str(TINY_LLAMA))
    with pytest.raises(BrokenInputError, match="another model"):
        given_moments(tmp_path / "a.gguf", checkpoint, open_source(checkpoint).config)


def test_a_method_that_reads_a_text_goes_without_one() -> None:
    text = "{name: x, imatrix: a.gguf, artifacts: [{format: gguf, encoding: q4_0, method: gptq}]}"
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, where="here")
    assert "gptq reads a text" in str(caught.value)
