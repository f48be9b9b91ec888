from __future__ import annotations

import socket

import pytest

from convert.errors import UsageError
from convert.fleet.address import cluster_of_this_machine, parse_address


def test_a_cluster_is_named_or_found(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert parse_address("ray").for_ray is None
    assert parse_address("ray://head:10001").for_ray == "ray://head:10001"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert parse_address("ray").for_ray == "10.0.0.1:6379"
    assert parse_address("ray://head:10001").for_ray == "ray://head:10001"


@pytest.mark.parametrize("text", ["", "dask", "ray://", "ray://head", "ray://:1", "ray://head:x"])
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match="names no workers"):
        parse_address(text)


def test_a_cluster_that_was_killed_is_not_waited_for(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert cluster_of_this_machine() is None
    (tmp_path / "ray").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        (tmp_path / "ray" / "ray_current_cluster").write_text(address + "\n")
        assert cluster_of_this_machine() == address
    assert cluster_of_this_machine() is None
