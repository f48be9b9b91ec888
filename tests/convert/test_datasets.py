"""Texts of JSON Lines, and what may be wrong with them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from threading import Thread

import pytest

from convert.datasets import Text, read_data_set
from convert.errors import BrokenInputError, MissingFileError, UsageError
from convert.sources import hub_data_set


@pytest.fixture
def file(tmp_path):
    def write(*lines):
        path = tmp_path / "news.jsonl"
        path.write_bytes(b"\n".join(lines) + b"\n")
        return str(path)

    return write


def test_texts_come_in_order_with_their_lines(file):
    name = file(b'{"content": "one", "id": 1}', b"", b'\r\n{"content": "zw\xc3\xb6lf"}')
    assert read_data_set(name, "content") == [
        Text("one", "line 1 of news.jsonl"),
        Text("zwölf", "line 4 of news.jsonl"),
    ]


def test_a_limit_reads_no_further(file):
    name = file(b'{"a": "one"}', b'{"a": "two"}', b"not JSON")
    assert [text.content for text in read_data_set(name, "a", limit=2)] == ["one", "two"]


def test_a_byte_order_mark_is_no_text(file):
    assert read_data_set(file(b'\xef\xbb\xbf{"a": "x"}'), "a")[0].content == "x"


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        (b"{", BrokenInputError, "line 2 of news.jsonl is not JSON"),
        (b"[" * 100_000, BrokenInputError, "line 2 of news.jsonl is not JSON"),
        (b'{"a": "\xff"}', BrokenInputError, "line 2 of news.jsonl is not JSON"),
        (b'["x"]', BrokenInputError, "line 2 of news.jsonl is not a JSON object"),
        (b'{"a": 5}', BrokenInputError, "column 'a' in line 2 of news.jsonl is not a text"),
        (b'{"a": null}', BrokenInputError, "is not a text"),
        (b'{"b": "x"}', UsageError, "line 2 of news.jsonl has no column 'a'"),
        (b"{}", UsageError, "has no column 'a'"),
    ],
)
def test_a_line_that_is_no_text_is_named(file, line, kind, words):
    with pytest.raises(kind, match=words):
        read_data_set(file(b'{"a": "x"}', line), "a")


def test_the_columns_there_are_get_named(file):
    with pytest.raises(UsageError) as caught:
        read_data_set(file(json.dumps({"title": "x", "text": "y"}).encode()), "content")
    assert caught.value.found == "'title', 'text'"


def test_an_empty_data_set_is_refused(file):
    with pytest.raises(UsageError, match="holds no line"):
        read_data_set(file(b"", b" "), "a")


@pytest.mark.parametrize("name", ["no-such-file", "a/b/c", "folder/news.jsonl", "./news", "../x/y"])
def test_a_file_that_is_not_there(name):
    with pytest.raises(MissingFileError, match="there is no file"):
        read_data_set(name, "a")


def test_a_pipe_is_as_good_as_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    Thread(target=pipe.write_text, args=['{"a": "x"}'], daemon=True).start()
    assert read_data_set(str(pipe), "a") == [Text("x", "line 1 of pipe")]


def test_texts_that_come_with_the_package_have_a_name(tmp_path, monkeypatch):
    assert len(read_data_set("news", "content")) > 30
    (tmp_path / "news").write_text('{"content": "own"}')
    monkeypatch.chdir(tmp_path)
    assert [text.content for text in read_data_set("news", "content")] == ["own"]


def test_a_folder_is_no_data_set(tmp_path, monkeypatch):
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError):
        read_data_set("org/name", "a")


def test_a_name_of_the_hub_is_asked_for_there(file, monkeypatch):
    asked = []
    path = file(b'{"a": "x"}')
    monkeypatch.setattr(
        hub_data_set, "data_set_files", lambda name: asked.append(name) or iter([Path(path)])
    )
    assert read_data_set("org/name-1.5:test", "a")[0].content == "x"
    assert asked == ["org/name-1.5:test"]
