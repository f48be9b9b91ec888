from __future__ import annotations

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import (
    BadHeaderError,
    BrokenInputError,
    MissingFileError,
    TensorMismatchError,
    TruncatedFileError,
    UnsafePickleError,
    UnsupportedConfigError,
    UnsupportedError,
)
from convert.sources.torch_files import StridedWeight, find_files, open_weights
from convert.weights import FileWeight, FloatType, read_float32

DTYPES = {
    FloatType.F32: torch.float32,
    FloatType.F16: torch.float16,
    FloatType.BF16: torch.bfloat16,
}


def opened(folder, state=None, skip=lambda name: False, **options):
    if state is not None:
        torch.save(state, folder / "pytorch_model.bin", **options)
    return open_weights(folder, find_files(folder), skip)


def test_tensors_are_read_where_they_lie(tmp_path):
    tied = torch.randn(7, 5)
    state = {
        "plain": tied,
        "tied": tied,
        "slice": tied[2:5],
        "transposed": tied.t(),
        "columns": tied[:, 1:3],
        "bf16": torch.randn(4, 3, 2).to(torch.bfloat16).permute(2, 0, 1),
        "expanded": torch.randn(1, 3).expand(4, 3),
        "half": torch.nn.Parameter(torch.randn(3).half()),
        "empty": torch.empty(0, 3),
    }
    weights = opened(tmp_path, state)
    assert list(weights) == list(state)
    for name, tensor in state.items():
        expected = tensor.detach().float().numpy()
        np.testing.assert_array_equal(read_float32(weights[name]), expected)
        assert DTYPES[weights[name].dtype] == tensor.dtype
    assert isinstance(weights["slice"], FileWeight)
    assert isinstance(weights["transposed"], StridedWeight)


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (1, 3), (4, 5), (2, 2)])
def test_rows_of_a_transpose(tmp_path, start, stop):
    tensor = torch.randn(7, 5)
    weight = opened(tmp_path, {"x": tensor.t()})["x"]
    np.testing.assert_array_equal(weight.read_rows(start, stop), tensor.t().numpy()[start:stop])


def test_code_in_a_pickle_is_not_executed(tmp_path):
    marker = tmp_path / "executed"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    torch.save({"w": torch.ones(2), "evil": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UnsafePickleError, match="system"):
        opened(tmp_path)
    assert not marker.exists()


def test_code_in_a_pickle_outside_a_zip_is_not_executed(tmp_path):
    marker = tmp_path / "executed"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UnsupportedError):
        opened(tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "state", [[torch.ones(2)], {"a": 3}, {"a": {"b": torch.ones(2)}}, {3: torch.ones(2)}]
)
def test_a_pickle_of_something_else_is_refused(tmp_path, state):
    with pytest.raises(UnsafePickleError):
        opened(tmp_path, state)


def test_the_format_before_zip_is_refused(tmp_path):
    with pytest.raises(UnsupportedError, match="zip format"):
        opened(tmp_path, {"a": torch.ones(2)}, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("dtype", [torch.int8, torch.float64, torch.float8_e4m3fn])
def test_other_dtypes_are_refused_unless_skipped(tmp_path, dtype):
    state = {"a": torch.ones(2).to(dtype)}
    with pytest.raises(UnsupportedConfigError, match="'a'"):
        opened(tmp_path, state)
    assert not opened(tmp_path, skip=lambda name: name == "a")


@pytest.mark.parametrize("kept", [3, 100, 900])
def test_a_truncated_file(tmp_path, kept):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(300)}, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises((TruncatedFileError, UnsupportedError)):
        opened(tmp_path)


def rewritten(path, change):
    """The archive with each member's bytes passed through ``change(name, data)``."""
    with zipfile.ZipFile(path) as archive:
        members = {m.filename: archive.read(m) for m in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, change(name, data))


def test_a_record_shorter_than_its_tensor(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(300)}, path)
    rewritten(path, lambda name, data: data[:-8] if name.endswith("data/0") else data)
    with pytest.raises(BadHeaderError, match="does not lie"):
        opened(tmp_path)


def test_a_damaged_pickle(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(300)}, path)
    rewritten(path, lambda name, data: data[:20] if name.endswith("data.pkl") else data)
    with pytest.raises((BadHeaderError, UnsafePickleError)):
        opened(tmp_path)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_file_with_changed_bytes_reads_or_is_refused_by_name(tmp_path_factory, data):
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(4, 5), "b": torch.ones(3, 4).t()}, buffer)
    whole = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("flip")
    (folder / "pytorch_model.bin").write_bytes(whole)
    try:
        weights = opened(folder)
    except (BrokenInputError, UnsupportedError):
        return
    for weight in weights.values():
        assert weight.read_rows(0, weight.rows).shape == (weight.rows, weight.columns)


def test_big_endian_is_refused(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(300)}, path)
    rewritten(path, lambda name, data: b"big" if name.endswith("byteorder") else data)
    with pytest.raises(UnsupportedError, match="big-endian"):
        opened(tmp_path)


def test_a_file_that_shrinks_after_it_was_opened(tmp_path):
    weight = opened(tmp_path, {"x": torch.randn(70, 50).t()})["x"]
    os.truncate(tmp_path / "pytorch_model.bin", 600)
    with pytest.raises(TruncatedFileError):
        weight.read_rows(0, 50)


class TestShards:
    def write(self, folder, weight_map):
        torch.save({"a": torch.ones(2)}, folder / "pytorch_model-1.bin")
        torch.save({"b": torch.ones(3)}, folder / "pytorch_model-2.bin")
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))

    def test_all_shards_are_opened(self, tmp_path):
        self.write(tmp_path, {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"})
        assert list(opened(tmp_path)) == ["a", "b"]

    def test_an_index_that_disagrees(self, tmp_path):
        self.write(tmp_path, {"b": "pytorch_model-1.bin", "a": "pytorch_model-2.bin"})
        with pytest.raises(TensorMismatchError):
            opened(tmp_path)

    def test_a_tensor_in_two_files(self, tmp_path):
        self.write(tmp_path, {})
        torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model-2.bin")
        files = {"pytorch_model-1.bin": (), "pytorch_model-2.bin": ()}
        with pytest.raises(TensorMismatchError, match="two files"):
            open_weights(tmp_path, files, lambda name: False)

    def test_shards_without_an_index(self, tmp_path):
        self.write(tmp_path, {})
        (tmp_path / "pytorch_model.bin.index.json").unlink()
        with pytest.raises(MissingFileError, match="no index"):
            find_files(tmp_path)

    def test_other_pickles_do_not_count(self, tmp_path):
        torch.save({}, tmp_path / "training_args.bin")
        assert find_files(tmp_path) is None

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(MissingFileError):
            open_weights(tmp_path, {"pytorch_model.bin": ()}, lambda name: False)
