"""A signed artifact and its keys, made once and copied."""

from __future__ import annotations

import shutil

import pytest

from convert.provenance.signing import Signer, sign
from tests.support.finished import finished_artifact
from tests.support.keys import new_key


@pytest.fixture(scope="session")
def key(tmp_path_factory):
    return new_key(tmp_path_factory.mktemp("keys"), "mine")


@pytest.fixture(scope="session")
def once_signed(tmp_path_factory, key):
    folder = finished_artifact(tmp_path_factory.mktemp("signed") / "gguf-q4_0")
    sign(folder, Signer(key.private))
    return folder


@pytest.fixture
def signed(once_signed, tmp_path):
    """Free to be tampered with."""
    return shutil.copytree(once_signed, tmp_path / "gguf-q4_0")
