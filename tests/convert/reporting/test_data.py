"""What is kept beside an artifact for its page."""

from __future__ import annotations

import pytest

from convert.errors import BrokenInputError
from convert.reporting.data import (
    data_path,
    files_digest,
    page_path,
    read_data,
    write_data,
    write_whole,
)
from tests.support import reports


def test_what_is_written_is_read(tmp_path):
    made = reports.manifest()
    data = reports.data(made, failures=("why",))
    path = tmp_path / "x.report.json"
    write_data(path, data)
    assert read_data(path) == data
    assert [file.name for file in tmp_path.iterdir()] == ["x.report.json"]


def test_it_lies_beside_the_artifact(tmp_path):
    folder = tmp_path / "gguf-q4_0.v2"
    assert page_path(folder) == tmp_path / "gguf-q4_0.v2.report.html"
    assert data_path(folder) == tmp_path / "gguf-q4_0.v2.report.json"
    assert read_data(data_path(folder)) is None


def test_data_belong_to_the_files_they_were_found_of():
    made = reports.manifest()
    data = reports.data(made)
    other = made.files[0].model_copy(update={"sha256": "b" * 64})
    assert data.belongs_to(made)
    assert not data.belongs_to(made.model_copy(update={"files": (other,)}))
    assert files_digest((made.files[0], other)) == files_digest((other, made.files[0]))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"version": 2}', '{"artifact": "x", "files_sha256": "y", "z": 1}']
)
def test_damaged_data_are_refused_with_a_remedy(tmp_path, text):
    path = tmp_path / "x.report.json"
    path.write_text(text)
    with pytest.raises(BrokenInputError) as caught:
        read_data(path)
    assert "made of the manifest alone" in str(caught.value)


def test_a_file_takes_the_place_of_another_whole(tmp_path):
    path = tmp_path / "page"
    write_whole(path, "one")
    write_whole(path, "two\n")
    assert path.read_bytes() == b"two\n"
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    assert path.read_bytes() == b"two\n"
    assert list(tmp_path.iterdir()) == [path]
