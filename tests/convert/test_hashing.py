"""Hashes of files and of whole checkpoints."""

from __future__ import annotations

import hashlib

import pytest

from convert.hashing import combined_digest, hash_file, hash_files, in_background


def test_a_file_larger_than_a_block_hashes_as_hashlib_says(tmp_path):
    data = bytes(range(256)) * 20_000
    (tmp_path / "f").write_bytes(data)
    record = hash_file(tmp_path, tmp_path / "f")
    assert (record.path, record.size) == ("f", len(data))
    assert record.sha256 == hashlib.sha256(data).hexdigest()


def test_the_digest_does_not_depend_on_the_order_but_on_names_and_contents(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    paths = [tmp_path / "a", tmp_path / "b"]
    digest = combined_digest(hash_files(tmp_path, paths))
    assert digest == combined_digest(hash_files(tmp_path, reversed(paths)))
    (tmp_path / "a").rename(tmp_path / "c")
    assert digest != combined_digest(hash_files(tmp_path, [tmp_path / "b", tmp_path / "c"]))


def test_background_work_gives_its_result_or_its_error_to_who_asks():
    assert in_background(sum, [1, 2])() == 3
    failing = in_background(int, "x")
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            failing()
