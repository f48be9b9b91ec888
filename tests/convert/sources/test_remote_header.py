from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.errors import RemoteEntryNotFoundError
from safetensors.numpy import save

from convert.errors import BadHeaderError, TruncatedFileError
from convert.sources.remote_header import read_remote_header
from convert.sources.safetensors_files import read_header
from tests.support.fake_hub import COMMIT
from tests.support.safetensors_bytes import safetensors_bytes

NAME = "x.safetensors"


def read(hub, data, size=None):
    hub.commits[COMMIT] = {NAME: data}
    return read_remote_header("org/name", COMMIT, Path(NAME), len(data) if size is None else size)


def as_on_disk(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    Path(NAME).write_bytes(data)
    return read_header(Path(NAME))


MANY = {f"a-tensor-with-a-long-name-{n}": np.zeros((2, 3), "f2") for n in range(1500)}


@pytest.mark.parametrize(
    ("tensors", "requests"),
    [({"a": np.ones(3, "f4")}, 1), ({"a": np.ones(500_000, "u1")}, 1), (MANY, 2), ({}, 1)],
    ids=["small", "large", "long-header", "empty"],
)
def test_it_reads_what_is_read_from_the_file(hub, tmp_path, monkeypatch, tensors, requests):
    data = save(tensors, metadata={"format": "pt"})
    assert read(hub, data) == as_on_disk(tmp_path, monkeypatch, data)
    assert len(hub.asked_for(NAME)) == requests


def test_no_more_is_asked_for_than_the_header_needs(hub):
    data = save({"a": np.ones(500_000, "u1")})
    read(hub, data)
    assert hub.asked_for(NAME) == ["bytes=0-99999"]


def test_a_server_that_sends_the_whole_file_all_the_same(hub, tmp_path, monkeypatch):
    hub.heeds_ranges = False
    data = save(MANY)
    assert read(hub, data) == as_on_disk(tmp_path, monkeypatch, data)


@pytest.mark.parametrize("data", [b"", b"1234567", safetensors_bytes({}, b"", 1000)])
def test_a_file_that_ends_in_its_header(hub, data):
    with pytest.raises(TruncatedFileError, match=r"x\.safetensors"):
        read(hub, data)


@pytest.mark.parametrize(
    "data", [safetensors_bytes(b"[]", b""), safetensors_bytes({}, b"", 1 << 40), b"<html></html>"]
)
def test_a_header_that_is_none(hub, data):
    with pytest.raises(BadHeaderError, match=r"x\.safetensors"):
        read(hub, data)


@pytest.mark.parametrize(("more", "error"), [(1, BadHeaderError), (-1, TruncatedFileError)])
def test_a_size_that_the_header_contradicts(hub, more, error):
    data = save({"a": np.ones(500_000, "u1")})
    with pytest.raises(error, match=r"x\.safetensors"):
        read(hub, data, len(data) + more)


def test_an_answer_shorter_than_was_asked(hub):
    hub.commits[COMMIT] = {NAME: b"12345678"}
    with pytest.raises(ConnectionError, match="8 bytes of 50"):
        read_remote_header("org/name", COMMIT, Path(NAME), 50)


def test_a_file_that_is_not_there(hub):
    with pytest.raises(RemoteEntryNotFoundError):
        read_remote_header("org/name", COMMIT, Path("no.safetensors"), 50)
