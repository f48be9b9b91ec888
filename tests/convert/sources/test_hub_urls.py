"""``hf://`` names are hub ids."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from convert.sources.hub_urls import hub_id


@pytest.mark.parametrize(
    ("source", "revision", "meant"),
    [
        ("hf://org/name", None, ("org/name", None)),
        ("hf://org/name/", "v1", ("org/name", "v1")),
        ("hf://org/name@v1", None, ("org/name", "v1")),
        ("org/name", "v1", ("org/name", "v1")),
        ("s3://bucket/x", None, ("s3://bucket/x", None)),
    ],
)
def test_what_is_meant(source, revision, meant):
    assert hub_id(source, revision) == meant


@pytest.mark.parametrize("wrong", ["hf://", "hf://name", "hf://org/", "hf://org/name@", "hf:///x"])
def test_no_repository(wrong):
    with pytest.raises(UsageError, match="names no checkpoint"):
        hub_id(wrong)


def test_a_subfolder_is_refused_with_the_reason():
    with pytest.raises(UsageError) as raised:
        hub_id("hf://org/name/onnx")
    assert "subfolders" in raised.value.remedy


def test_two_revisions():
    with pytest.raises(UsageError, match="another one is given"):
        hub_id("hf://org/name@v1", "v2")
