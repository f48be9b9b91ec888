"""Shards are those that the gguf package's own writer makes, byte for byte, whatever the sizes."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import UsageError
from convert.stream import write_layouts
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.base import Layout
from targets.gguf import shards
from targets.gguf.file_names import FILE
from targets.gguf.header import ALIGNMENT, add_tensor_infos, new_writer
from targets.gguf.shards import files_and_jobs
from targets.gguf.tensors import StoredTensor
from tests.targets.gguf.checkpoints import checkpoint, convert

SHAPES = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 70), st.sampled_from(["f32", "f16", "bf16"])),
    min_size=1,
    max_size=12,
)


def tensors_of(shapes: list[tuple[int, int, str]]) -> list[StoredTensor]:
    """Random tensors; the first has its rows in another order."""
    random = np.random.default_rng(0)
    made = []
    for i, (rows, columns, kind) in enumerate(shapes):
        values = random.normal(size=(rows, columns)).astype(np.float32)
        order = np.arange(rows)[::-1].copy() if i == 0 else None
        made.append(StoredTensor(f"t{i}", ArrayWeight(f"w{i}", values), encoding(kind), order))
    return made


def laid_out(tensors: list[StoredTensor], limit: int) -> Layout:
    writer = new_writer("llama", limit)
    writer.add_string("general.name", "shards")
    add_tensor_infos(writer, tensors)
    return Layout(*files_and_jobs(writer, tensors))


def resplit(path: Path, folder: Path, limit: int) -> None:
    """Read a GGUF and write it again, split, by the gguf package alone."""
    folder.mkdir()
    reader = gguf.GGUFReader(path)
    fields = {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    architecture = fields.pop("general.architecture").contents()
    writer = gguf.GGUFWriter(folder / FILE, architecture, split_max_size=limit)
    for name, field in fields.items():
        inner = field.types[1] if len(field.types) > 1 else None
        writer.add_key_value(name, field.contents(), field.types[0], inner)
    for tensor in reader.tensors:
        shape = tuple(int(axis) for axis in reversed(tensor.shape))
        data = tensor.data if tensor.data.dtype == np.uint8 else tensor.data.reshape(shape)
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.gguf")}


@pytest.mark.usefixtures("proven_once")
@pytest.mark.parametrize("kind", ["f32", "q4_0"])
@pytest.mark.parametrize("limit", [1, 20_000, 50_000, 10**9])
def test_a_model_is_split_as_by_the_gguf_package(kind: str, limit: int, tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "in", "llama")
    convert(model, tmp_path / "in", tmp_path / "whole", kind)
    convert(model, tmp_path / "in", tmp_path / "split", kind, options={"split_max_size": limit})
    resplit(tmp_path / "whole" / FILE, tmp_path / "theirs", limit)
    assert bytes_of(tmp_path / "split") == bytes_of(tmp_path / "theirs")


@settings(deadline=None, max_examples=60)
@given(SHAPES, st.integers(1, 6000))
def test_any_tensors_are_split_as_by_the_gguf_package(
    shapes: list[tuple[int, int, str]], limit: int
) -> None:
    tensors = tensors_of(shapes)
    with tempfile.TemporaryDirectory() as scratch:
        ours, whole, theirs = (Path(scratch, name) for name in ("ours", "whole", "theirs"))
        for folder, size in ((ours, limit), (whole, 0)):
            folder.mkdir()
            write_layouts([(folder, laid_out(tensors, size))])
        resplit(whole / FILE, theirs, limit)
        assert bytes_of(ours) == bytes_of(theirs)


@given(SHAPES, st.integers(1, 6000))
def test_no_tensor_crosses_and_no_shard_is_over_the_limit(
    shapes: list[tuple[int, int, str]], limit: int
) -> None:
    tensors = tensors_of(shapes)
    layout = laid_out(tensors, limit)
    assert [job.weight for job in layout.jobs] == [tensor.weight for tensor in tensors]
    held: dict[str, list[tuple[int, int]]] = {file.path: [] for file in layout.files}
    for job, tensor in zip(layout.jobs, tensors, strict=True):
        (place,) = job.placements
        assert place.offset % ALIGNMENT == 0
        held[place.file].append((place.offset, tensor.nbytes))
    for file in layout.files:
        ((_, header),) = file.segments
        extents = held[file.path]
        starts = [offset for offset, _ in extents]
        assert starts[0] == len(header)
        assert all(
            start + size <= end for (start, size), end in zip(extents, starts[1:], strict=False)
        )
        assert 0 <= file.size - sum(extents[-1]) < ALIGNMENT
        assert len(extents) == 1 or sum(size for _, size in extents) <= limit
    filled = [[size for _, size in held[file.path]] for file in layout.files]
    assert all(sum(shard) + following[0] > limit for shard, following in pairwise(filled))


def test_the_first_shard_carries_the_metadata_and_each_says_which_it_is(tmp_path: Path) -> None:
    layout = laid_out(tensors_of([(3, 7, "f32"), (4, 7, "f16"), (1, 5, "f32")]), 100)
    write_layouts([(tmp_path, layout)])
    assert [file.path for file in layout.files] == [
        "model-00001-of-00002.gguf",
        "model-00002-of-00002.gguf",
    ]
    split = {"split.count": 2, "split.tensors.count": 3}
    expected = [
        {"general.architecture": "llama", "general.name": "shards", "split.no": 0, **split},
        {"split.no": 1, **split},
    ]
    for file, keys in zip(layout.files, expected, strict=True):
        fields = gguf.GGUFReader(tmp_path / file.path).fields
        found = {k: f.contents() for k, f in fields.items() if not k.startswith("GGUF.")}
        assert found == keys
        types = {k: f.types[0].name for k, f in fields.items() if k.startswith("split.")}
        assert types == {
            "split.no": "UINT16",
            "split.count": "UINT16",
            "split.tensors.count": "INT32",
        }


def test_what_fits_stays_one_file_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    tensors = tensors_of([(3, 8, "f32"), (3, 8, "f32")])
    limit = sum(tensor.nbytes for tensor in tensors)
    assert [file.path for file in laid_out(tensors, limit).files] == [FILE]
    assert laid_out(tensors, limit) == laid_out(tensors, 0)
    assert len(laid_out(tensors, limit - 1).files) == 2
    assert not caplog.records


def test_more_shards_than_can_be_open_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MAX_SHARDS", 2)
    tensors = tensors_of([(3, 8, "f32")] * 3)
    assert len(laid_out(tensors, 192).files) == 2
    with pytest.raises(UsageError, match="too small for this model") as caught:
        laid_out(tensors, 191)
    assert "3 shards" in str(caught.value)
