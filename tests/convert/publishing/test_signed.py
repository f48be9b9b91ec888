"""A signed artifact goes to a registry and to a hub, and comes back signed."""

import shutil

import pytest

from convert.errors import SignatureError, UsageError
from convert.progress import Silent
from convert.provenance.signatures import Trust, claims_to_sign
from convert.provenance.signing import Signer, sign
from convert.publishing.commands import publish, pull
from convert.verification import verify
from tests.support.fake_publishing_hub import NAME
from tests.support.keys import new_key


def verified(folder, key):
    return verify(
        folder, golden=None, gate=False, threads=1, reporter=Silent(), trust=Trust(key.public)
    )


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return new_key(tmp_path_factory.mktemp("keys"), "mine")


def test_what_comes_back_is_signed(artifact, key, registry, hub, reporter, tmp_path):
    sign(artifact, Signer(key.private))
    for place, name in ((f"{registry.place}:x", "oci"), (NAME, "hub")):
        publish(artifact, place, reporter=reporter)
        pull(place, tmp_path / name, reporter=reporter)
        assert (tmp_path / name / "README.md").is_file()
        assert verified(tmp_path / name, key).manifest.artifact == "gguf-q4_0"
        with pytest.raises(SignatureError):
            verified(tmp_path / name, new_key(tmp_path, "another"))
    (tmp_path / "hub" / "model.gguf").write_bytes(b"weighty" * 100)
    with pytest.raises(SignatureError):
        verified(tmp_path / "hub", key)
    # A copy of it is published as it came.
    publish(tmp_path / "oci", f"{registry.place}:y", reporter=reporter)
    pull(f"{registry.place}:y", tmp_path / "again", reporter=reporter)
    assert verified(tmp_path / "again", key)


def test_a_card_that_was_signed_is_not_made_anew(artifact, key, reporter, tmp_path):
    copy = shutil.copytree(artifact, tmp_path / "copy")
    (copy / "README.md").write_text("# mine")
    sign(copy, Signer(key.private))
    assert claims_to_sign(copy, "README.md")
    with pytest.raises(UsageError, match="signed together"):
        publish(copy, NAME, dry_run=True, reporter=reporter)
    assert not claims_to_sign(artifact, "README.md")
