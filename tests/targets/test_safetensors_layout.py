import json
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

from targets.safetensors_layout import StoredTensor, lay_out_safetensors

WIDTHS = {"F32": 4, "F16": 2, "U8": 1}


def tensor(name, dtype="F16", shape=(3, 5)):
    return StoredTensor(name, dtype, shape, WIDTHS[dtype] * math.prod(shape))


def write(folder, layout):
    for file in layout.files:
        with (folder / file.path).open("wb") as stream:
            stream.truncate(file.size)
            for offset, data in file.segments:
                stream.seek(offset)
                stream.write(data)


def test_one_file_has_the_bytes_that_the_safetensors_package_writes():
    tensors = [tensor("b", "F16"), tensor("a", "U8", (7,)), tensor("c", "F32", (2, 2))]
    (file,) = lay_out_safetensors(tensors).files
    numpy_names = {"F32": np.float32, "F16": np.float16, "U8": np.uint8}
    zeros = {one.name: np.zeros(one.shape, numpy_names[one.dtype]) for one in tensors}
    expected = save(zeros, {"format": "pt"})
    assert file.path == "model.safetensors"
    assert file.size == len(expected)
    assert file.segments[0][1] == expected[: len(file.segments[0][1])]


def test_bytes_that_are_known_are_segments_of_their_files(tmp_path):
    scale = StoredTensor("a.scale", "F32", (1,), 4, np.float32([0.25]).tobytes())
    codes = StoredTensor("a.codes", "F8_E4M3", (3,), 3, b"\x38\xb8\x7e")
    layout = lay_out_safetensors([codes, tensor("b"), scale], max_shard_bytes=40)
    write(tmp_path, layout)
    with safe_open(tmp_path / layout.placements["a.scale"].file, framework="numpy") as shard:
        assert shard.get_tensor("a.scale").tolist() == [0.25]
    with safe_open(tmp_path / layout.placements["a.codes"].file, framework="pt") as shard:
        assert shard.get_tensor("a.codes").float().tolist() == [1.0, -1.0, 448.0]


def test_shards_are_filled_in_order_and_named_in_the_index():
    layout = lay_out_safetensors([tensor(name) for name in "dcba"], max_shard_bytes=60)
    assert layout.weight_files == (
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    )
    index = json.loads(layout.files[-1].segments[0][1])
    assert layout.files[-1].path == "model.safetensors.index.json"
    assert index["metadata"] == {"total_parameters": 60, "total_size": 120}
    shards = {name: file.split("-")[1] for name, file in index["weight_map"].items()}
    assert shards == {"d": "00001", "c": "00001", "b": "00002", "a": "00002"}


def test_a_tensor_above_the_limit_gets_a_shard_of_its_own():
    layout = lay_out_safetensors([tensor("a"), tensor("b", shape=(100,)), tensor("c")], 60)
    assert len(layout.weight_files) == 3


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(WIDTHS)), st.lists(st.integers(1, 9), min_size=1)),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 4000),
)
def test_tensors_lie_where_the_safetensors_package_finds_them(tmp_path_factory, kinds, limit):
    folder = tmp_path_factory.mktemp("shards")
    kinds = [(dtype, tuple(shape[:3])) for dtype, shape in kinds]
    tensors = [tensor(f"t{i}", dtype, shape) for i, (dtype, shape) in enumerate(kinds)]
    layout = lay_out_safetensors(tensors, limit)
    write(folder, layout)
    for number, one in enumerate(tensors):
        place = layout.placements[one.name]
        marked = bytes([number + 1]) * one.nbytes
        with (folder / place.file).open("r+b") as stream:
            stream.seek(place.offset)
            stream.write(marked)
    for number, one in enumerate(tensors):
        with safe_open(folder / layout.placements[one.name].file, framework="np") as shard:
            found = shard.get_tensor(one.name)
        assert found.shape == one.shape
        assert found.tobytes() == bytes([number + 1]) * one.nbytes
