"""Signs a finished artifact: one signature over the hashes of all its files."""

from __future__ import annotations

import getpass
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import MissingFileError, OutputExistsError, UsageError
from convert.manifest import BOM_NAME, SIGNATURE_NAME, STATEMENT_NAME, Manifest
from convert.provenance.checking import check_contents
from convert.provenance.derived import write_derived
from convert.provenance.signing_library import hashing_config, library

PASSWORD_VARIABLE = "TRICAST_KEY_PASSWORD"
_ENCRYPTED = (b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")


@dataclass(frozen=True)
class Signer:
    """Who signs: a key, a key with its certificate, or (neither) an identity known to Sigstore.

    Args:
        key: PEM file of a private key on NIST's curve P-256, P-384 or P-521.
        certificate: PEM file of its certificate.
        chain: PEM files of the certificates between that and its authority.
    """

    key: Path | None = None
    certificate: Path | None = None
    chain: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that is named."""
        named = (self.key, self.certificate, *self.chain)
        return tuple(path for path in named if path is not None)


def sign(artifact: Path, signer: Signer) -> Manifest:
    """Check an artifact without running it, and write its signature, ``model.sig``, into it.

    Everything in the folder is signed: files, manifest, the documents that follow from it (they are
    written if an older version left them out), and a model card or report if there is one.

    Returns:
        The manifest that is signed.

    Raises:
        OutputExistsError: It is signed already.
        UsageError: model-signing is not installed, or the key cannot be used.
        VerificationError: The artifact is not what its manifest says.
        BrokenInputError: The manifest or a key is missing.
    """
    path = artifact / SIGNATURE_NAME
    if path.exists() or path.is_symlink():
        raise OutputExistsError(
            f"{artifact} is signed already",
            remedy=f"remove {SIGNATURE_NAME} first to sign it anew",
        )
    _require_usable(artifact, signer)
    manifest = check_contents(artifact)
    config = library("signing").Config()
    _use(config, signer)
    if not all((artifact / name).exists() for name in (STATEMENT_NAME, BOM_NAME)):
        write_derived(artifact)
    with tempfile.TemporaryDirectory(prefix="tricast-") as scratch:
        made = Path(scratch, SIGNATURE_NAME)
        try:
            config.set_hashing_config(hashing_config()).sign(artifact.resolve(), made)
        except (MemoryError, OSError):
            raise
        except Exception as error:  # of the library, of Sigstore, of the network
            raise _not_signed(signer, error) from error
        _put(made.read_bytes(), path)
    return manifest


def _not_signed(signer: Signer, error: Exception) -> UsageError:
    said = str(error) or type(error).__name__
    if signer.key is not None:
        return UsageError(f"{signer.key} did not sign", found=said)
    return UsageError(
        "Sigstore gives no certificate",
        expected="its services within reach, and an identity: of a workflow, or by a browser",
        found=said,
        remedy="sign with --key, which needs no network",
    )


def _put(signature: bytes, path: Path) -> None:
    """Let the signature appear whole."""
    pending = path.with_name(f".{path.name}.partial")
    try:
        pending.write_bytes(signature)
        pending.replace(path)
    finally:
        pending.unlink(missing_ok=True)


def _require_usable(artifact: Path, signer: Signer) -> None:
    for path in signer.paths:
        if not path.is_file():
            raise MissingFileError(f"there is no file {path}", expected="a PEM file")
    if signer.key is None:
        if signer.certificate is not None or signer.chain:
            raise UsageError("a certificate without its key", remedy="add --key")
        return
    if signer.key.resolve().is_relative_to(artifact.resolve()):
        raise UsageError(
            f"the private key {signer.key} is in the folder of the artifact",
            expected="a key that is not published with what it signs",
            remedy="move it elsewhere",
        )


def _use(config: Any, signer: Signer) -> None:
    if signer.key is None:
        try:
            config.use_sigstore_signer(use_ambient_credentials=True)
        except Exception as error:  # of Sigstore, of the network
            raise _not_signed(signer, error) from error
        return
    password = _password(signer.key)
    try:
        if signer.certificate is None:
            config.use_elliptic_key_signer(private_key=signer.key, password=password)
        elif password is not None:
            raise UsageError(
                f"{signer.key} has a password",
                expected="a key without one, where a certificate is given",
                remedy="sign with the key alone, or store it without a password",
            )
        else:
            config.use_certificate_signer(
                private_key=signer.key,
                signing_certificate=signer.certificate,
                # The library cannot read an empty chain; to be in it twice does no harm.
                certificate_chain=signer.chain or (signer.certificate,),
            )
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{signer.key} cannot sign",
            expected="a private key in PEM on the curve P-256, P-384 or P-521, its password in "
            f"{PASSWORD_VARIABLE} if it has one, and the certificate of that key if one is given",
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
        ) from error


def _password(key: Path) -> bytes | None:
    """The password of a key that has one: from the environment, or asked for."""
    if not any(mark in key.read_bytes() for mark in _ENCRYPTED):
        return None
    given = os.environ.get(PASSWORD_VARIABLE)
    if given is None and sys.stdin.isatty():
        given = getpass.getpass(f"Password of {key}: ")
    if given is None:
        raise UsageError(
            f"{key} has a password",
            remedy=f"put it into the environment variable {PASSWORD_VARIABLE}",
        )
    return given.encode()
