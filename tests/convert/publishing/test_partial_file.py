import hashlib

import pytest

from convert.publishing.partial_file import PartialFile


def test_it_goes_on_after_what_is_there(tmp_path):
    counted, path = [], tmp_path / "a"
    with PartialFile(path, counted.append) as part:
        part.append(b"abc")
    with PartialFile(path, counted.append) as part:
        assert part.size == 3
        part.append(b"def")
        assert part.digest == f"sha256:{hashlib.sha256(b'abcdef').hexdigest()}"
    assert path.read_bytes() == b"abcdef"


def test_or_begins_anew(tmp_path):
    counted, path = [], tmp_path / "a"
    path.write_bytes(b"old")
    with PartialFile(path, counted.append) as part:
        part.begin_anew()
        part.append(b"new!")
        assert part.digest == f"sha256:{hashlib.sha256(b'new!').hexdigest()}"
    assert path.read_bytes() == b"new!"
    assert sum(counted) == 4


def test_an_error_takes_the_count_back_and_keeps_the_bytes(tmp_path):
    counted, path = [], tmp_path / "a"
    with pytest.raises(RuntimeError), PartialFile(path, counted.append) as part:
        part.append(b"abc")
        raise RuntimeError
    assert path.read_bytes() == b"abc"
    assert sum(counted) == 0
