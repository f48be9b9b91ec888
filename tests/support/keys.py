"""Keys and certificates for tests, made anew for each."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM
_BEGIN, _END = datetime.datetime(2020, 1, 1), datetime.datetime(2100, 1, 1)


@dataclass(frozen=True)
class KeyPair:
    """Files of a private key and its public key."""

    private: Path
    public: Path


def new_key(folder: Path, name: str, *, password: bytes | None = None, curve=None) -> KeyPair:
    """Write ``NAME.pem`` and ``NAME.pub``."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    pair = KeyPair(folder / f"{name}.pem", folder / f"{name}.pub")
    _write_key(key, pair.private, password)
    pair.public.write_bytes(
        key.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return pair


@dataclass(frozen=True)
class Certified:
    """Files of a key, of the certificate that an authority gave it, and of that authority."""

    key: Path
    certificate: Path
    authority: Path


def new_certificate(folder: Path, name: str, password: bytes | None = None) -> Certified:
    """Write ``NAME.pem``, ``NAME.crt`` and ``NAME-ca.crt``."""
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(authority, authority, f"{name} authority", f"{name} authority", ca=True)
    own = _certificate(key, authority, name, f"{name} authority", ca=False)
    made = Certified(folder / f"{name}.pem", folder / f"{name}.crt", folder / f"{name}-ca.crt")
    _write_key(key, made.key, password)
    made.certificate.write_bytes(own.public_bytes(_PEM))
    made.authority.write_bytes(root.public_bytes(_PEM))
    return made


def _write_key(key: ec.EllipticCurvePrivateKey, path: Path, password: bytes | None) -> None:
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    path.write_bytes(key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, encryption))


def _certificate(key, signer, subject: str, issuer: str, *, ca: bool) -> x509.Certificate:
    usage = dict.fromkeys(
        (
            "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "encipher_only", "decipher_only",
        ),
        False,
    )  # fmt: skip
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)]) for who in (subject, issuer)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(_END)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage),
            critical=True,
        )
    )
    return builder.sign(signer, hashes.SHA256())
