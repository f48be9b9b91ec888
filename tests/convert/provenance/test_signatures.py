"""A signature proves that somebody who is trusted signed exactly what is there; nothing less."""

from __future__ import annotations

import base64
import json
import shutil
import sys

import pytest
from model_signing import hashing
from model_signing import signing as library

from convert.errors import MissingFileError, SignatureError, UsageError
from convert.manifest import BOM_NAME, MANIFEST_NAME, SIGNATURE_NAME, STATEMENT_NAME
from convert.provenance.signatures import Trust, check_signature
from convert.provenance.signing import Signer, sign
from convert.provenance.signing_library import hashing_config
from tests.support.finished import finished_artifact
from tests.support.keys import new_certificate, new_key


def refusal(folder, trust):
    with pytest.raises(SignatureError) as caught:
        check_signature(folder, trust)
    assert caught.value.exit_code == 3
    return str(caught.value)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_what_was_signed_passes_under_another_name_and_through_links(signed, key, tmp_path):
    assert check_signature(signed, Trust(key.public)) == ()
    linked = tmp_path / "linked"
    (linked / "sub").mkdir(parents=True)
    for path in signed.rglob("*"):
        if path.is_file():
            (linked / path.relative_to(signed)).symlink_to(path)
    assert check_signature(linked, Trust(key.public)) == ()


@pytest.mark.parametrize("name", ["model.gguf", MANIFEST_NAME, STATEMENT_NAME, BOM_NAME])
def test_a_flipped_byte_is_named(signed, key, name):
    flip(signed / name)
    assert f"found: {name} differs" in refusal(signed, Trust(key.public))


@pytest.mark.parametrize("name", ["model.gguf", BOM_NAME])
def test_a_missing_file_is_named(signed, key, name):
    (signed / name).unlink()
    assert f"{name} is missing" in refusal(signed, Trust(key.public))


@pytest.mark.parametrize("name", ["extra.py", "sub/model.bin"])
def test_an_added_file_is_named(signed, key, name):
    (signed / name).write_text("")
    assert f"{name} was added" in refusal(signed, Trust(key.public))


def test_what_only_people_read_may_be_added_but_not_changed(signed, key):
    for name in ("README.md", "report.html"):
        (signed / name).write_text("added")
    assert check_signature(signed, Trust(key.public)) == ("README.md", "report.html")
    (signed / SIGNATURE_NAME).unlink()
    sign(signed, Signer(key.private))
    assert check_signature(signed, Trust(key.public)) == ()
    (signed / "README.md").write_text("changed")
    assert "README.md differs" in refusal(signed, Trust(key.public))


def test_what_hubs_add_does_not_matter(signed, key):
    (signed / ".cache" / "huggingface").mkdir(parents=True)
    (signed / ".cache" / "huggingface" / "x.metadata").write_text("")
    (signed / ".gitattributes").write_text("")
    assert check_signature(signed, Trust(key.public)) == ()


def test_another_key_is_refused(signed, tmp_path):
    assert "of another key" in refusal(signed, Trust(new_key(tmp_path, "other").public))


def test_a_signature_that_hides_its_key_is_refused(signed, tmp_path, capsys):
    bundle = json.loads((signed / SIGNATURE_NAME).read_text())
    del bundle["verificationMaterial"]["publicKey"]["hint"]
    (signed / SIGNATURE_NAME).write_text(json.dumps(bundle))
    assert "is not signed by" in refusal(signed, Trust(new_key(tmp_path, "other").public))
    assert capsys.readouterr().out == ""


def test_no_signature_is_refused(signed, key):
    (signed / SIGNATURE_NAME).unlink()
    assert "is not signed" in refusal(signed, Trust(key.public))


def test_the_signature_of_another_artifact_is_refused(signed, key, tmp_path):
    other = finished_artifact(tmp_path / "other", notes=("another",))
    shutil.copy(signed / SIGNATURE_NAME, other)
    said = refusal(other, Trust(key.public))
    assert f"{MANIFEST_NAME} differs" in said
    assert "model.gguf differs" not in said


def test_an_altered_payload_is_refused(signed, key):
    bundle = json.loads((signed / SIGNATURE_NAME).read_text())
    envelope = bundle["dsseEnvelope"]
    payload = json.loads(base64.b64decode(envelope["payload"]))
    flip(signed / "model.gguf")
    for resource in payload["predicate"]["resources"]:
        if resource["name"] == "model.gguf":
            resource["digest"] = "0" * 64
    envelope["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    (signed / SIGNATURE_NAME).write_text(json.dumps(bundle))
    assert "is not signed by" in refusal(signed, Trust(key.public))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"dsseEnvelope": {"payload": "e30="}}', "[" * 100_000]
)
def test_what_is_no_signature_is_refused(signed, key, text):
    (signed / SIGNATURE_NAME).write_text(text)
    assert "cannot be read" in refusal(signed, Trust(key.public))


def test_half_a_bundle_is_refused(signed, key):
    bundle = json.loads((signed / SIGNATURE_NAME).read_text())
    for part in ("verificationMaterial", "mediaType"):
        (signed / SIGNATURE_NAME).write_text(
            json.dumps({name: value for name, value in bundle.items() if name != part})
        )
        assert "is not signed by" in refusal(signed, Trust(key.public))


def test_a_signature_that_leaves_the_manifest_out_is_refused(tmp_path, key):
    folder = finished_artifact(tmp_path / "a")
    config = library.Config().use_elliptic_key_signer(private_key=key.private)
    left_out = hashing.Config().set_ignored_paths(paths=[SIGNATURE_NAME, MANIFEST_NAME])
    config.set_hashing_config(left_out).sign(folder, folder / SIGNATURE_NAME)
    assert "no signature of an artifact" in refusal(folder, Trust(key.public))


def test_a_signature_that_leaves_weights_out_is_refused(tmp_path, key):
    folder = finished_artifact(tmp_path / "a")
    config = library.Config().use_elliptic_key_signer(private_key=key.private)
    left_out = hashing_config(["model.gguf"])
    config.set_hashing_config(left_out).sign(folder, folder / SIGNATURE_NAME)
    assert "model.gguf was added" in refusal(folder, Trust(key.public))


def test_an_authority_speaks_for_its_own_only(tmp_path):
    folder = finished_artifact(tmp_path / "a")
    mine, other = (new_certificate(tmp_path, name) for name in ("mine", "other"))
    sign(folder, Signer(mine.key, mine.certificate))
    assert check_signature(folder, Trust(authority=mine.authority)) == ()
    assert "is not signed by" in refusal(folder, Trust(authority=other.authority))
    flip(folder / "model.gguf")
    assert "model.gguf differs" in refusal(folder, Trust(authority=mine.authority))


def test_whom_to_trust_must_be_clear(tmp_path, key):
    for unclear in (
        {},
        {"key": key.public, "authority": key.public},
        {"identity": "me@example.org"},
        {"key": key.public, "issuer": "https://example.org"},
    ):
        with pytest.raises(UsageError, match="not clear"):
            Trust(**unclear)
    with pytest.raises(MissingFileError, match="no file"):
        Trust(tmp_path / "absent.pub")


def test_a_private_key_is_not_what_is_asked_for(signed, key, tmp_path):
    with pytest.raises(UsageError, match="private key"):
        check_signature(signed, Trust(key.private))
    (tmp_path / "text").write_text("hello")
    for trust in (Trust(tmp_path / "text"), Trust(authority=tmp_path / "text")):
        with pytest.raises(UsageError, match="cannot be used"):
            check_signature(signed, trust)


def test_sigstore_out_of_reach_is_told(signed, monkeypatch):
    def refresh(config, **identity):
        raise RuntimeError("Failed to refresh")

    monkeypatch.setattr("model_signing.verifying.Config.use_sigstore_verifier", refresh)
    with pytest.raises(UsageError, match="cannot be used") as caught:
        check_signature(signed, Trust(identity="me", issuer="https://example.org"))
    assert caught.value.found == "Failed to refresh"


def test_without_the_extra_the_remedy_names_it(signed, key, monkeypatch):
    monkeypatch.setitem(sys.modules, "model_signing.verifying", None)
    with pytest.raises(UsageError) as caught:
        check_signature(signed, Trust(key.public))
    assert "tricast[sign]" in caught.value.remedy
