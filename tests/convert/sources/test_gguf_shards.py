"""A GGUF in shards is opened by the first; shards that do not belong together are refused."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from convert.errors import BadHeaderError, MissingFileError, UsageError
from convert.sources.gguf_file import read_gguf
from convert.sources.gguf_shards import open_gguf, unnumbered
from tests.support.gguf_files import TinyGguf

LIMIT = 9000


@pytest.fixture
def first(tmp_path):
    return TinyGguf().write(tmp_path / "tiny.gguf", split_max_size=LIMIT)


def beside(first: Path, number: int) -> Path:
    """Another shard of the same model."""
    return first.with_name(first.name.replace("-00001-", f"-{number:05}-"))


def write_shard(path: Path, tensors: tuple[str, ...] = ("a",), **split: int) -> Path:
    """A GGUF of a few tensors with the ``split`` keys given."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in split.items():
        writer.add_int32(f"split.{key.replace('_', '.')}", value)
    for name in tensors:
        writer.add_tensor(name, np.zeros(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_shards_together_are_the_whole(first, tmp_path):
    whole = read_gguf(TinyGguf().write(tmp_path / "whole.gguf"))
    split = open_gguf(first)
    assert list(split.tensors) == list(whole.tensors)
    np.testing.assert_equal({key: split.metadata[key] for key in whole.metadata}, whole.metadata)
    assert split.files == tuple(sorted(tmp_path.glob("tiny-*.gguf")))
    assert len(split.files) > 2
    for name, tensor in whole.tensors.items():
        own = split.tensors[name]
        rows = [file.read_rows(t, 0, t.shape[0]) for file, t in ((whole, tensor), (split, own))]
        np.testing.assert_array_equal(*rows)


def test_a_single_file_is_opened_as_it_is(tmp_path):
    path = TinyGguf().write(tmp_path / "tiny.gguf")
    assert open_gguf(path).tensors == read_gguf(path).tensors
    assert open_gguf(path).files == (path,)


def test_one_shard_of_one_is_a_single_file(tmp_path):
    path = write_shard(tmp_path / "m.gguf", no=0, count=1, tensors_count=1)
    assert open_gguf(path).files == (path,)


def test_a_later_shard_leads_to_the_first(first):
    with pytest.raises(UsageError, match="is shard 2 of") as caught:
        open_gguf(beside(first, 2))
    assert str(first) in str(caught.value)


def test_a_missing_shard_is_named(first):
    beside(first, 3).unlink()
    with pytest.raises(MissingFileError, match=r"1 of \d+ shards are not beside") as caught:
        open_gguf(first)
    assert beside(first, 3).name in str(caught.value)


def test_a_renamed_shard_has_lost_the_others(first):
    renamed = first.rename(first.with_name("model.gguf"))
    with pytest.raises(MissingFileError, match="does not lead to the others"):
        open_gguf(renamed)


def test_shards_in_each_others_places_are_refused(first, tmp_path):
    two, three = beside(first, 2), beside(first, 3)
    two.rename(tmp_path / "aside")
    three.rename(two)
    (tmp_path / "aside").rename(three)
    with pytest.raises(BadHeaderError, match="not the shard that its name says") as caught:
        open_gguf(first)
    assert "split.no 2" in str(caught.value)


@pytest.mark.parametrize(("no", "count"), [(-1, 3), (3, 3), (4, 3), (0, -2), (0, 1 << 20)])
def test_impossible_numbers_are_refused(tmp_path, no, count):
    path = write_shard(tmp_path / "m-00001-of-00003.gguf", no=no, count=count)
    with pytest.raises(BadHeaderError, match="claims to be shard"):
        open_gguf(path)


@pytest.mark.parametrize(
    ("tensors", "total", "complaint"),
    [(("a",), 2, "'a' is in another shard too"), (("b",), 3, "not of one model")],
)
def test_tensors_are_all_there_and_once(tmp_path, tensors, total, complaint):
    path = tmp_path / "m-00001-of-00002.gguf"
    write_shard(path, no=0, count=2, tensors_count=total)
    write_shard(tmp_path / "m-00002-of-00002.gguf", tensors, no=1, count=2, tensors_count=total)
    with pytest.raises(BadHeaderError, match=complaint):
        open_gguf(path)


def test_the_first_shard_may_hold_metadata_alone(tmp_path):
    path = write_shard(tmp_path / "m-00001-of-00002.gguf", (), no=0, count=2, tensors_count=1)
    other = write_shard(tmp_path / "m-00002-of-00002.gguf", no=1, count=2, tensors_count=1)
    opened = open_gguf(path)
    assert opened.files == (path, other)
    assert opened.read_rows(opened.tensors["a"], 0, 4).tolist() == [[0], [0], [0], [0]]


def test_a_shard_that_does_not_say_where_it_belongs_is_refused(tmp_path):
    path = write_shard(tmp_path / "m-00001-of-00002.gguf", no=0, count=2)
    write_shard(tmp_path / "m-00002-of-00002.gguf", ("b",))
    with pytest.raises(BadHeaderError, match="not the shard that its name says"):
        open_gguf(path)


def test_links_to_blobs_are_followed_by_their_names(first, tmp_path):
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for i, shard in enumerate(sorted(tmp_path.glob("tiny-*.gguf"))):
        (snapshot / shard.name).symlink_to(shard.rename(tmp_path / f"blob{i}"))
    assert "output_norm.weight" in open_gguf(snapshot / first.name).tensors


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("m-q4.gguf", "m-q4"),
        ("m-q4-00002-of-00011.gguf", "m-q4"),
        ("m-1-of-2.gguf", "m-1-of-2"),
        ("-00001-of-00002.gguf", "-00001-of-00002"),
    ],
)
def test_the_number_is_no_part_of_the_name(name, label):
    assert unnumbered(Path("folder", name)) == label
