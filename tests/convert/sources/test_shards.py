from __future__ import annotations

import json

import pytest

from convert.errors import (
    BadHeaderError,
    MissingFileError,
    TensorMismatchError,
    UnsafePathError,
)
from convert.sources.shards import check_promised, read_index, read_json_object


def index(folder, weight_map):
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": weight_map}))
    return path


def test_files_are_sorted_and_keep_their_tensors(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).touch()
    files = read_index(index(tmp_path, {"x": "b", "y": "a", "z": "b"}))
    assert list(files.items()) == [("a", ("y",)), ("b", ("x", "z"))]


@pytest.mark.parametrize(
    "name",
    [
        "../outside.safetensors",
        "sub/../../outside.safetensors",
        "/etc/passwd",
        "C:\\weights.safetensors",
        "..\\outside.safetensors",
        "\\\\host\\share\\x",
        "a\0b",
        "half a pair \ud800",
        "",
    ],
)
def test_a_name_that_leads_outside_is_refused(tmp_path, name):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (tmp_path / "outside.safetensors").touch()
    with pytest.raises(UnsafePathError):
        read_index(index(folder, {"x": name}))


def test_a_link_that_leads_outside_is_refused(tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (tmp_path / "outside").touch()
    (folder / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(UnsafePathError):
        read_index(index(folder, {"x": "link"}))


def test_links_of_the_hub_cache_are_followed(tmp_path):
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    blobs = tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "hash").touch()
    (snapshot / "x.safetensors").symlink_to("../../blobs/hash")
    assert read_index(index(snapshot, {"x": "x.safetensors"})) == {"x.safetensors": ("x",)}


def test_a_file_in_a_subfolder_is_inside(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x").touch()
    assert read_index(index(tmp_path, {"x": "sub/x"})) == {"sub/x": ("x",)}


@pytest.mark.parametrize("name", ["missing.safetensors", "folder"])
def test_a_file_that_is_not_there(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(MissingFileError):
        read_index(index(tmp_path, {"x": name}))


@pytest.mark.parametrize("weight_map", [None, {}, [], "x", {"x": 3}, {"x": None}])
def test_a_weight_map_that_is_none(tmp_path, weight_map):
    with pytest.raises(BadHeaderError):
        read_index(index(tmp_path, weight_map))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000, b'"x"'])
def test_json_that_is_no_object(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(BadHeaderError, match=r"x\.json"):
        read_json_object(tmp_path / "x.json")


def test_json_that_is_not_there_or_is_a_folder(tmp_path):
    with pytest.raises(MissingFileError, match="missing"):
        read_json_object(tmp_path / "x.json")
    with pytest.raises(MissingFileError, match="cannot be read"):
        read_json_object(tmp_path)


def test_promises_are_compared_both_ways(tmp_path):
    check_promised(tmp_path, (), {"a"})
    check_promised(tmp_path, ("a",), {"a"})
    with pytest.raises(TensorMismatchError, match="'b'"):
        check_promised(tmp_path, ("a", "b"), {"a"})
    with pytest.raises(TensorMismatchError, match="'b'"):
        check_promised(tmp_path, ("a",), {"a", "b"})
