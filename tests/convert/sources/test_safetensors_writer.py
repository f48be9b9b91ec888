from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from convert.sources.safetensors_writer import Entry, header_bytes, shards_of, write_checkpoint
from convert.weights import FloatType


def chunks_of(arrays, step=2):
    def chunks(name):
        array = arrays[name]
        return (array[start : start + step] for start in range(0, len(array), step))

    return chunks


def entries_of(arrays):
    return [Entry(name, array.shape, FloatType.F32) for name, array in arrays.items()]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_the_library_reads_what_is_written_in_chunks(tmp_path_factory, shapes):
    folder = tmp_path_factory.mktemp("written")
    arrays = {f"t{n}": np.random.rand(*shape).astype("f4") for n, shape in enumerate(shapes)}
    write_checkpoint(folder, entries_of(arrays), chunks_of(arrays))
    read = load_file(folder / "model.safetensors")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)


def test_data_begins_at_a_multiple_of_eight():
    for length in range(1, 20):
        header = header_bytes([Entry("x" * length, (2,), FloatType.BF16)])
        assert len(header) % 8 == 0
        assert int.from_bytes(header[:8], "little") == len(header) - 8


def test_shards_have_an_index_that_covers_all(tmp_path):
    arrays = {name: np.full((4, 4), n, "f4") for n, name in enumerate("abcde")}
    write_checkpoint(tmp_path, entries_of(arrays), chunks_of(arrays), shard_bytes=130)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 5 * 64
    assert sorted(set(index["weight_map"].values())) == [
        f"model-{n:05d}-of-00003.safetensors" for n in (1, 2, 3)
    ]
    for name, file in index["weight_map"].items():
        np.testing.assert_array_equal(load_file(tmp_path / file)[name], arrays[name])


def test_a_tensor_larger_than_a_shard_stands_alone():
    small, large = Entry("s", (1,), FloatType.F32), Entry("l", (100,), FloatType.F32)
    assert shards_of([small, large, small], 10) == [[small], [large], [small]]
