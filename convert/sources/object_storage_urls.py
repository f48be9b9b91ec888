"""Which names mean a folder in object storage."""

from __future__ import annotations

from urllib.parse import urlsplit

from convert.errors import UsageError

SCHEMES = ("s3", "gs", "az")
_EXPECTED = "s3://bucket/folder, gs://bucket/folder or az://account/container/folder"


def is_object_url(source: str) -> bool:
    """Whether a name is meant for object storage, however well it is written."""
    return source.partition("://")[0].lower() in SCHEMES and "://" in source


def checked_url(source: str) -> tuple[str, str]:
    """A URL without a slash at its end, and the last part of its path, or its bucket.

    Raises:
        UsageError: It names no bucket, holds a secret, or more than a folder's place.
    """
    scheme, _, rest = source.partition("://")
    parts = urlsplit(source)
    if parts.query or parts.fragment or "@" in parts.netloc:
        # What stands there may be a password or a signature: it is not repeated.
        raise UsageError(
            f"the {scheme}:// name holds more than a place",
            expected=_EXPECTED,
            remedy="give credentials as the storage's own tools take them, see docs/fleet.md",
        )
    names = [name for name in rest.split("/") if name]
    needed = 2 if scheme.lower() == "az" else 1
    if len(names) < needed or not parts.netloc or ".." in names or "." in names:
        raise UsageError(f"{source!r} names no folder", expected=_EXPECTED)
    return f"{scheme.lower()}://{'/'.join(names)}", names[-1]
