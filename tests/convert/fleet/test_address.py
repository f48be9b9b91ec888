from __future__ import annotations

import pytest

from convert.errors import UsageError
from convert.fleet.address import parse_address


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
