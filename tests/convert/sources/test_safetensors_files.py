from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from convert.errors import (
    BadHeaderError,
    MissingFileError,
    TensorMismatchError,
    TruncatedFileError,
    UnsupportedConfigError,
)
from convert.sources.safetensors_files import find_files, open_weights, read_header
from convert.weights import read_float32
from tests.support.safetensors_bytes import entry, safetensors_bytes, write_checkpoint


def written(tmp_path, header, data=b"", length=None):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_bytes(header, data, length))
    return path


def keep_all(name):
    return False


@given(
    shapes=st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=6),
    dtype=st.sampled_from(["f4", "f2", "i8", "u1"]),
)
@settings(max_examples=40, deadline=None)
def test_headers_that_the_library_writes_read_back(tmp_path_factory, shapes, dtype):
    path = tmp_path_factory.mktemp("header") / "x.safetensors"
    arrays = {f"t{n}": np.ones(shape, dtype) for n, shape in enumerate(shapes)}
    path.write_bytes(save(arrays, metadata={"format": "pt"}))
    header = read_header(path)
    assert header.metadata == {"format": "pt"}
    assert {name: t.shape for name, t in header.tensors.items()} == {
        name: array.shape for name, array in arrays.items()
    }
    assert all(t.nbytes == arrays[name].nbytes for name, t in header.tensors.items())


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_noise_is_refused_by_name(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("noise") / "x.safetensors"
    path.write_bytes(noise)
    with pytest.raises((BadHeaderError, TruncatedFileError)):
        read_header(path)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_file_with_one_changed_header_byte_reads_or_is_refused_by_name(tmp_path_factory, data):
    whole = bytearray(save({"a": np.ones((2, 3), "f4"), "b": np.ones(4, "f2")}))
    position = data.draw(st.integers(0, len(whole) - 33))
    whole[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("flip") / "x.safetensors"
    path.write_bytes(whole)
    try:
        header = read_header(path)
    except (BadHeaderError, TruncatedFileError):
        return
    assert all(t.offset + t.nbytes <= len(whole) for t in header.tensors.values())


GOOD = {"a": entry([2, 2], 0, 16), "b": entry([3], 16, 28)}


def test_weights_are_read_where_they_lie(tmp_path):
    data = np.arange(7, dtype="<f4").tobytes()
    written(tmp_path, GOOD, data)
    weights = open_weights(tmp_path, {"model.safetensors": ()}, keep_all)
    np.testing.assert_array_equal(read_float32(weights["a"]), [[0, 1], [2, 3]])
    np.testing.assert_array_equal(read_float32(weights["b"]), [4, 5, 6])


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ({"a": entry([2, 2], 0, 12)}, bytes(12)),
        ({"a": entry([2], -8, 0)}, bytes(8)),
        ({"a": entry([2], 8, 0)}, bytes(8)),
        ({"a": entry([-2], 0, 8)}, bytes(8)),
        ({"a": entry([2.0], 0, 8)}, bytes(8)),
        ({"a": entry([True], 0, 4)}, bytes(4)),
        ({"a": entry([1] * 17, 0, 4)}, bytes(4)),
        ({"a": entry([2], 0, 8, "F31")}, bytes(8)),
        ({"a": entry([2], 0, 8, ["F32"])}, bytes(8)),
        ({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)),
        ({"a": [1, 2]}, bytes(8)),
        ({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)),
        ({"a": entry([2], 0, 8), "b": entry([2], 12, 20)}, bytes(20)),
        ({"a": entry([2], 4, 12)}, bytes(12)),
        ({"a": entry([2], 0, 8)}, bytes(12)),
        ({"a": entry([2], 0, 8), "__metadata__": [1]}, bytes(8)),
        ([GOOD], bytes(28)),
        (b"\xff\xfe", b""),
        (b"{" * 100_000, b""),
        (b'{"a": 1, "a": 2}', b""),
        ({"a": entry([1 << 62, 1 << 62], 0, 8)}, bytes(8)),
    ],
    ids=[
        "shape-and-offsets-disagree",
        "negative-offset",
        "end-before-begin",
        "negative-axis",
        "fractional-axis",
        "boolean-axis",
        "too-many-axes",
        "unknown-dtype",
        "dtype-no-string",
        "no-offsets",
        "entry-no-object",
        "overlap",
        "hole",
        "hole-at-start",
        "bytes-left-over",
        "bad-metadata",
        "no-object",
        "no-utf8",
        "nested-without-end",
        "duplicate-key",
        "astronomic-shape",
    ],
)
def test_a_header_that_contradicts_itself_is_refused(tmp_path, header, data):
    with pytest.raises(BadHeaderError) as caught:
        read_header(written(tmp_path, header, data))
    assert "model.safetensors" in str(caught.value)


@pytest.mark.parametrize("length", [10_000, 200_000])
def test_a_header_longer_than_the_file_is_truncation(tmp_path, length):
    with pytest.raises(TruncatedFileError):
        read_header(written(tmp_path, GOOD, bytes(28), length))


def test_a_git_lfs_pointer_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    with pytest.raises(TruncatedFileError, match="Git LFS"):
        read_header(path)


def test_an_absurd_header_is_refused_before_it_is_read(tmp_path):
    with pytest.raises(BadHeaderError, match="absurd"):
        read_header(written(tmp_path, GOOD, bytes(28), (1 << 63) + 5))


@pytest.mark.parametrize("size", [0, 7])
def test_a_file_without_a_header_is_truncated(tmp_path, size):
    path = tmp_path / "x.safetensors"
    path.write_bytes(bytes(size))
    with pytest.raises(TruncatedFileError):
        read_header(path)


def test_data_shorter_than_the_header_promises_is_truncation(tmp_path):
    with pytest.raises(TruncatedFileError):
        read_header(written(tmp_path, GOOD, bytes(27)))


def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError):
        read_header(tmp_path / "no.safetensors")


@pytest.mark.parametrize("dtype", ["F8_E4M3", "I8", "F64", "BOOL"])
def test_stored_integers_and_fp8_are_refused_with_advice(tmp_path, dtype):
    size = 8 if dtype == "F64" else 1
    written(tmp_path, {"a.weight": entry([2], 0, 2 * size, dtype)}, bytes(2 * size))
    with pytest.raises(UnsupportedConfigError, match=r"a\.weight") as caught:
        open_weights(tmp_path, {"model.safetensors": ()}, keep_all)
    assert "unquantized" in str(caught.value)


def test_names_to_be_skipped_may_have_any_dtype(tmp_path):
    written(tmp_path, {"a": entry([2], 0, 16, "I64")}, bytes(16))
    assert not open_weights(tmp_path, {"model.safetensors": ()}, lambda name: name == "a")


class TestShards:
    SHARDS = {"m-1.safetensors": {"a": [2]}, "m-2.safetensors": {"b": [3], "c": [1]}}  # noqa: RUF012

    def test_all_shards_are_opened(self, tmp_path):
        write_checkpoint(tmp_path, {}, self.SHARDS)
        weights = open_weights(tmp_path, find_files(tmp_path), keep_all)
        assert {name: w.shape for name, w in weights.items()} == {"a": (2,), "b": (3,), "c": (1,)}

    def test_a_missing_shard(self, tmp_path):
        write_checkpoint(tmp_path, {}, self.SHARDS)
        (tmp_path / "m-2.safetensors").unlink()
        with pytest.raises(MissingFileError, match=r"m-2\.safetensors"):
            find_files(tmp_path)

    @pytest.mark.parametrize("change", ["add", "remove"])
    def test_an_index_that_disagrees_with_a_shard(self, tmp_path, change):
        write_checkpoint(tmp_path, {}, self.SHARDS)
        path = tmp_path / "model.safetensors.index.json"
        index = json.loads(path.read_text())
        if change == "add":
            index["weight_map"]["d"] = "m-2.safetensors"
        else:
            del index["weight_map"]["c"]
        path.write_text(json.dumps(index))
        with pytest.raises(TensorMismatchError, match=r"m-2\.safetensors"):
            open_weights(tmp_path, find_files(tmp_path), keep_all)

    def test_a_tensor_in_two_shards(self, tmp_path):
        write_checkpoint(tmp_path, {}, self.SHARDS)
        files = {"m-1.safetensors": (), "m-2.safetensors": ()}
        (tmp_path / "m-1.safetensors").write_bytes((tmp_path / "m-2.safetensors").read_bytes())
        with pytest.raises(TensorMismatchError, match="two files"):
            open_weights(tmp_path, files, keep_all)

    def test_shards_without_an_index(self, tmp_path):
        write_checkpoint(tmp_path, {}, self.SHARDS)
        (tmp_path / "model.safetensors.index.json").unlink()
        with pytest.raises(MissingFileError, match="no index"):
            find_files(tmp_path)

    def test_a_single_file_under_another_name(self, tmp_path):
        (tmp_path / "weights.safetensors").write_bytes(safetensors_bytes({}, b""))
        assert find_files(tmp_path) == {"weights.safetensors": ()}

    def test_no_safetensors_at_all(self, tmp_path):
        assert find_files(tmp_path) is None
