from __future__ import annotations

import json
import math

import numpy as np
import pytest

from bench.synthetic import SHAPES, BloomShape, build, shards
from convert.checkpoint import open_checkpoint, require_tensors
from convert.weights import read_float32

TINY = SHAPES["tiny"]


def count(shape):
    return sum(math.prod(size) for size in shape.tensors().values())


def test_the_named_shapes_have_the_sizes_they_promise():
    assert count(SHAPES["1b"]) == 1_170_302_976
    assert count(SHAPES["13b"]) == 13_015_864_320
    assert count(SHAPES["bloom-7b1"]) == 7_069_016_064
    assert count(SHAPES["bloom-176b"]) == 176_247_271_424


@pytest.mark.parametrize("shard_bytes", [5_000_000_000, 100_000])
def test_a_checkpoint_is_complete_and_random(tmp_path, shard_bytes):
    folder = build(TINY, tmp_path / "model", shard_bytes=shard_bytes)
    checkpoint = open_checkpoint(str(folder))
    require_tensors(checkpoint, TINY.tensors())
    values = read_float32(checkpoint.weights["model.layers.1.mlp.up_proj.weight"])
    assert abs(values.mean()) < 0.001
    assert abs(values.std() - 0.02) < 0.0005
    np.testing.assert_array_equal(read_float32(checkpoint.weights["model.norm.weight"]), 1)


def test_a_bloom_has_norms_of_one_and_biases_of_zero(tmp_path):
    shape = BloomShape(hidden=48, layers=1, ffn=192, heads=3, kv_heads=3, vocab=1280)
    checkpoint = open_checkpoint(str(build(shape, tmp_path / "model")))
    require_tensors(checkpoint, shape.tensors())
    norm = "transformer.h.0.input_layernorm"
    np.testing.assert_array_equal(read_float32(checkpoint.weights[f"{norm}.weight"]), 1)
    np.testing.assert_array_equal(read_float32(checkpoint.weights[f"{norm}.bias"]), 0)
    assert read_float32(checkpoint.weights["transformer.h.0.mlp.dense_h_to_4h.weight"]).any()


def test_no_two_tensors_are_equal(tmp_path):
    weights = open_checkpoint(str(build(TINY, tmp_path / "model"))).weights
    gate = read_float32(weights["model.layers.0.mlp.gate_proj.weight"])
    up = read_float32(weights["model.layers.0.mlp.up_proj.weight"])
    assert (gate != up).mean() > 0.99


def test_a_seed_gives_the_same_bytes_whatever_the_shards(tmp_path):
    one = open_checkpoint(str(build(TINY, tmp_path / "one")))
    parts = open_checkpoint(str(build(TINY, tmp_path / "parts", shard_bytes=100_000)))
    other = open_checkpoint(str(build(TINY, tmp_path / "other", seed=1)))
    name = "model.layers.1.self_attn.q_proj.weight"
    first = read_float32(one.weights[name])
    np.testing.assert_array_equal(first, read_float32(parts.weights[name]))
    assert (first != read_float32(other.weights[name])).mean() > 0.99


def test_a_sparse_checkpoint_is_zero_and_takes_no_disk(tmp_path):
    folder = build(SHAPES["7b"], tmp_path / "model", sparse=True)
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) == 3
    assert sum(file.stat().st_size for file in files) > 13e9
    assert sum(file.stat().st_blocks * 512 for file in files) < 1e6
    weight = open_checkpoint(str(folder)).weights["model.layers.31.mlp.down_proj.weight"]
    assert not weight.read_rows(4000, 4096).astype(np.float32).any()


def test_the_index_names_the_file_of_every_tensor(tmp_path):
    folder = build(TINY, tmp_path / "model", shard_bytes=100_000)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert index["weight_map"].keys() == TINY.tensors().keys()
    assert set(index["weight_map"].values()) == {file.name for file in folder.glob("*.safetensors")}
    assert index["metadata"]["total_size"] == 2 * count(TINY)


def test_a_tensor_larger_than_a_shard_has_one_to_itself():
    tensors = {"small": (4, 4), "large": (100, 100), "last": (4, 4)}
    assert [list(shard.tensors) for shard in shards(tensors, 100)] == [
        ["small"],
        ["large"],
        ["last"],
    ]


def test_an_existing_folder_is_left_alone(tmp_path):
    with pytest.raises(FileExistsError):
        build(TINY, tmp_path)
