"""Checks the signature of an artifact: that somebody who is trusted signed exactly these files."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Collection, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import MissingFileError, SignatureError, TricastError, UsageError
from convert.hashing import hash_file
from convert.manifest import COMPANIONS, MANIFEST_NAME, PAPERS, SIGNATURE_NAME, present_files
from convert.provenance.signing_library import hashing_config, library

_DIFFERS = "Signature mismatch: "
_OTHER_KEY = "Key mismatch"


@dataclass(frozen=True)
class Trust:
    """Whose signature counts: of one key, of whom an authority certified, or of an identity.

    Args:
        key: PEM file of the public key.
        authority: PEM file of a certificate authority. Everybody whom it has certified to sign
            counts.
        identity: Whom Sigstore knows the signer as: an address of mail, or a workflow.
        issuer: Who vouched for that identity, as ``https://accounts.google.com``.
    """

    key: Path | None = None
    authority: Path | None = None
    identity: str | None = None
    issuer: str | None = None

    def __post_init__(self) -> None:
        ways = [way for way in (self.key, self.authority, self.identity) if way is not None]
        if len(ways) != 1 or (self.identity is None) != (self.issuer is None):
            raise UsageError(
                "it is not clear whose signature counts",
                expected="a public key, or a certificate authority, or an identity with its issuer",
            )
        for path in (self.key, self.authority):
            if path is not None and not path.is_file():
                raise MissingFileError(f"there is no file {path}", expected="a PEM file")

    def __str__(self) -> str:
        return str(self.key or self.authority or f"{self.identity} ({self.issuer})")


def trust_in(
    key: Path | None, authority: Path | None, identity: str | None, issuer: str | None
) -> Trust | None:
    """The trust that options amount to; None if none of them is given.

    Raises:
        UsageError: They contradict each other.
        MissingFileError: There is no such file.
    """
    if key is None and authority is None and identity is None and issuer is None:
        return None
    return Trust(key, authority, identity, issuer)


def is_signed(artifact: Path) -> bool:
    """Whether there is a signature, of whomever."""
    return (artifact / SIGNATURE_NAME).is_file()


def claims_to_sign(artifact: Path, name: str) -> bool:
    """Whether an artifact's signature, if it has one, says that it is of this file, too.

    Raises:
        SignatureError: There is a signature that cannot be read.
    """
    return is_signed(artifact) and name in _signed_files(artifact / SIGNATURE_NAME)


def check_signature(artifact: Path, trust: Trust) -> tuple[str, ...]:
    """Check that somebody who is trusted signed every file of an artifact, as it is now.

    Returns:
        Files that were added since, which the signature does not cover: at most a model card and a
        report.

    Raises:
        SignatureError: There is no signature, it is of somebody else, or of something else.
        UsageError: model-signing is not installed, or the key is none.
    """
    path = artifact / SIGNATURE_NAME
    if not is_signed(artifact):
        raise SignatureError(
            f"{artifact} is not signed",
            expected=f"{SIGNATURE_NAME}, by {trust}",
            remedy="do not use it, or verify it without a key",
        )
    config = library("verifying").Config()
    _use(config, trust)
    signed = _signed_files(path)
    if MANIFEST_NAME not in signed:
        raise SignatureError(
            f"{path} is no signature of an artifact",
            expected=f"{MANIFEST_NAME} among what it signs",
        )
    added = tuple(name for name in PAPERS if name not in signed and (artifact / name).is_file())
    config.set_hashing_config(hashing_config(added))
    try:
        with redirect_stdout(sys.stderr):  # the library prints
            config.verify(artifact.resolve(), path.resolve())
    except (MemoryError, OSError, TricastError):
        raise
    except Exception as error:  # of the library, of cryptography, of OpenSSL
        if str(error).startswith(_DIFFERS):
            raise _other_contents(artifact, signed, added) from error
        raise _other_signer(artifact, trust, error) from error
    # What a signature says is to be left out was left out: it must cover everything all the same.
    if _covered(artifact, added).keys() - signed.keys():
        raise _other_contents(artifact, signed, added)
    return added


def _use(config: Any, trust: Trust) -> None:
    try:
        if trust.key is not None:
            _refuse_private(trust.key)
            config.use_elliptic_key_verifier(public_key=trust.key)
        elif trust.authority is not None:
            config.use_certificate_verifier(certificate_chain=[trust.authority])
        else:
            config.use_sigstore_verifier(identity=trust.identity, oidc_issuer=trust.issuer)
    except (MemoryError, OSError, TricastError):
        raise
    except Exception as error:  # of the library, of cryptography, of Sigstore
        expected = "PEM: a public key on the curve P-256, P-384 or P-521, or a certificate"
        raise UsageError(
            f"{trust} cannot be used to check signatures",
            expected=expected if trust.identity is None else "Sigstore's services within reach",
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
        ) from error


def _refuse_private(key: Path) -> None:
    if b"PRIVATE KEY" in key.read_bytes():
        raise UsageError(
            f"{key} is a private key",
            expected="the public one",
            remedy=f"openssl pkey -in {key} -pubout -out PUBLIC.pem",
        )


def _signed_files(path: Path) -> dict[str, str]:
    """What a signature says it is of, SHA-256 by name; to be believed only once it is verified."""
    try:
        envelope = json.loads(path.read_bytes())["dsseEnvelope"]
        payload = json.loads(base64.b64decode(envelope["payload"]))
        resources = payload["predicate"]["resources"]
        return {str(resource["name"]): str(resource["digest"]) for resource in resources}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SignatureError(
            f"{path} cannot be read",
            expected="a signature in the bundle format of Sigstore, as model-signing writes it",
            found=f"{type(error).__name__}: {error}",
        ) from error


def _covered(artifact: Path, unsigned: Collection[str]) -> dict[str, Path]:
    """Every file that a signature has to be of."""
    return present_files(artifact, besides=COMPANIONS - {SIGNATURE_NAME, *unsigned})


def _other_contents(
    artifact: Path, signed: Mapping[str, str], unsigned: Collection[str]
) -> SignatureError:
    paths = _covered(artifact, unsigned)
    faults = [f"{name} is missing" for name in sorted(signed.keys() - paths.keys())]
    faults += [f"{name} was added" for name in sorted(paths.keys() - signed.keys())]
    faults += [
        f"{name} differs"
        for name in sorted(signed.keys() & paths.keys())
        if not paths[name].is_file() or hash_file(artifact, paths[name]).sha256 != signed[name]
    ]
    return SignatureError(
        f"{artifact} is not what was signed",
        expected=f"the {len(signed)} files that the signature names, unchanged, and no others",
        found="; ".join(faults) or "another way of hashing files than with SHA-256, whole",
        remedy="get an undamaged copy",
    )


def _other_signer(artifact: Path, trust: Trust, error: Exception) -> SignatureError:
    said = str(error)
    other = said.startswith(_OTHER_KEY)
    return SignatureError(
        f"{artifact} is not signed by {trust}",
        found="the signature is of another key" if other else said or type(error).__name__,
        remedy="do not use it, unless you meant another key",
    )
