"""Only what is whole is signed, only by a usable key, and the key stays with its owner."""

from __future__ import annotations

import os
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from convert.errors import MissingFileError, OutputExistsError, UsageError, VerificationError
from convert.manifest import BOM_NAME, SIGNATURE_NAME, STATEMENT_NAME
from convert.provenance import signing
from convert.provenance.signatures import Trust, check_signature
from convert.provenance.signing import PASSWORD_VARIABLE, Signer, sign
from tests.support.finished import finished_artifact
from tests.support.keys import new_certificate, new_key


@pytest.fixture
def artifact(tmp_path):
    return finished_artifact(tmp_path / "gguf-q4_0")


@pytest.fixture(autouse=True)
def nobody_to_ask(monkeypatch):
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115, PTH123


def test_what_an_older_version_left_out_is_written_before_it_is_signed(tmp_path, key):
    folder = finished_artifact(tmp_path / "a", derived=False)
    assert sign(folder, Signer(key.private)).artifact == "gguf-q4_0"
    assert {STATEMENT_NAME, BOM_NAME, SIGNATURE_NAME} <= {path.name for path in folder.iterdir()}
    assert check_signature(folder, Trust(key.public)) == ()


def test_what_is_damaged_is_not_signed(artifact, key):
    (artifact / "model.gguf").write_bytes(b"other")
    with pytest.raises(VerificationError, match="not what its manifest says"):
        sign(artifact, Signer(key.private))
    assert not (artifact / SIGNATURE_NAME).exists()


def test_a_signature_is_never_overwritten(artifact, key):
    sign(artifact, Signer(key.private))
    before = (artifact / SIGNATURE_NAME).read_bytes()
    with pytest.raises(OutputExistsError, match="signed already"):
        sign(artifact, Signer(key.private))
    assert (artifact / SIGNATURE_NAME).read_bytes() == before


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_other_curves_of_nist_serve(artifact, tmp_path, curve):
    pair = new_key(tmp_path, "longer", curve=curve)
    sign(artifact, Signer(pair.private))
    check_signature(artifact, Trust(pair.public))


def test_the_password_of_a_key_comes_from_the_environment(artifact, tmp_path, monkeypatch):
    pair = new_key(tmp_path, "locked", password=b"open sesame")
    with pytest.raises(UsageError, match="has a password") as caught:
        sign(artifact, Signer(pair.private))
    assert PASSWORD_VARIABLE in caught.value.remedy
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong horse")
    with pytest.raises(UsageError, match="cannot sign") as caught:
        sign(artifact, Signer(pair.private))
    assert "wrong horse" not in str(caught.value)
    monkeypatch.setenv(PASSWORD_VARIABLE, "open sesame")
    sign(artifact, Signer(pair.private))
    check_signature(artifact, Trust(pair.public))


def test_the_password_is_asked_for_at_a_terminal(artifact, tmp_path, monkeypatch):
    class Terminal:
        def isatty(self):
            return True

    pair = new_key(tmp_path, "locked", password=b"open sesame")
    monkeypatch.setattr(sys, "stdin", Terminal())
    asked = []
    monkeypatch.setattr(
        signing.getpass, "getpass", lambda text: asked.append(text) or "open sesame"
    )
    sign(artifact, Signer(pair.private))
    assert "locked.pem" in asked[0]


def test_what_is_no_key_for_signing_is_named(artifact, tmp_path, key):
    (tmp_path / "text.pem").write_text("hello")
    koblitz = new_key(tmp_path, "koblitz", curve=ec.SECP256K1())
    for path in (tmp_path / "text.pem", key.public, koblitz.private):
        with pytest.raises(UsageError, match="cannot sign"):
            sign(artifact, Signer(path))
    with pytest.raises(MissingFileError, match="no file"):
        sign(artifact, Signer(tmp_path / "absent.pem"))
    assert not (artifact / SIGNATURE_NAME).exists()


def test_a_key_inside_the_artifact_would_be_published(artifact):
    pair = new_key(artifact / "sub", "mine")
    with pytest.raises(UsageError, match="in the folder of the artifact"):
        sign(artifact, Signer(pair.private))


def test_a_certificate_speaks_for_a_key(artifact, tmp_path):
    mine, other = (new_certificate(tmp_path, name) for name in ("mine", "other"))
    with pytest.raises(UsageError, match="without its key"):
        sign(artifact, Signer(certificate=mine.certificate))
    with pytest.raises(UsageError, match="cannot sign"):
        sign(artifact, Signer(mine.key, other.certificate))
    sign(artifact, Signer(mine.key, mine.certificate))
    check_signature(artifact, Trust(authority=mine.authority))


def test_a_certified_key_with_a_password_is_refused(artifact, tmp_path, monkeypatch):
    mine = new_certificate(tmp_path, "mine", password=b"secret")
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    with pytest.raises(UsageError, match="has a password"):
        sign(artifact, Signer(mine.key, mine.certificate))


@pytest.mark.parametrize("step", ["use_sigstore_signer", "sign"])
def test_an_identity_that_sigstore_does_not_certify_is_told(artifact, monkeypatch, step):
    def fail(config, *paths, **options):
        raise RuntimeError("Failed to refresh")

    config = "model_signing.signing.Config"
    monkeypatch.setattr(f"{config}.use_sigstore_signer", lambda config, **options: config)
    monkeypatch.setattr(f"{config}.{step}", fail)
    with pytest.raises(UsageError, match="Sigstore gives no certificate") as caught:
        sign(artifact, Signer())
    assert caught.value.found == "Failed to refresh"
    assert not (artifact / SIGNATURE_NAME).exists()


def test_without_the_extra_the_remedy_names_it(artifact, key, monkeypatch):
    monkeypatch.setitem(sys.modules, "model_signing.signing", None)
    with pytest.raises(UsageError) as caught:
        sign(artifact, Signer(key.private))
    assert "tricast[sign]" in caught.value.remedy
