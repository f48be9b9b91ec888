"""Where parts come from is read off the manifest, and only where it says so."""

from __future__ import annotations

import pytest

from convert.provenance.origins import HubCommit, adapter_number, hub_commit, package_purl


@pytest.mark.parametrize(
    ("label", "where"),
    [
        ("org/model@0123abc", HubCommit("org/model", "0123abc")),
        ("org/model+polite+terse@0123abc", HubCommit("org/model", "0123abc")),
        ("model", None),
        ("model@home", None),
        ("org/model", None),
        ("", None),
    ],
)
def test_only_a_commit_on_the_hub_is_an_address(label, where):
    assert hub_commit(label) == where


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("lora-1/adapter_model.safetensors", 1),
        ("lora-12/a", 12),
        ("model.safetensors", None),
        ("lora-1", None),
        ("lora-x/a", None),
        ("12/a", None),
    ],
)
def test_files_of_adapters_are_told_from_the_checkpoint(path, number):
    assert adapter_number(path) == number


def test_what_a_url_cannot_hold_is_escaped():
    assert package_purl("torch", "2.13.0+cpu") == "pkg:pypi/torch@2.13.0%2Bcpu"
    assert package_purl("tricast", None) == "pkg:pypi/tricast"
    assert HubCommit("a/b c", "1").purl("d e#f") == "pkg:huggingface/a/b%20c@1#d%20e%23f"
