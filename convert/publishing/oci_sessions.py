"""Remembers uploads that have begun, so that a later call goes on where one broke off."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from convert.cache_folder import cache_folder
from convert.publishing.destination import OciReference


class UploadSessions:
    """Where the upload of each blob goes on, kept in the user's cache folder.

    A registry names the place of an upload by a URL; without an authorization it is worth nothing,
    yet nobody else may read the file.
    """

    def __init__(self, place: OciReference) -> None:
        self._prefix = f"{place.host}/{place.repository}"

    def get(self, digest: str) -> str | None:
        """The URL of an upload that was broken off."""
        try:
            return self._path(digest).read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    def put(self, digest: str, location: str) -> None:
        """Remember an upload; a cache that cannot be written is none."""
        path = self._path(digest)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(location)
        except OSError:
            return

    def drop(self, digest: str) -> None:
        """Forget an upload that ended."""
        try:
            self._path(digest).unlink(missing_ok=True)
        except OSError:
            return

    def _path(self, digest: str) -> Path:
        name = hashlib.sha256(f"{self._prefix}@{digest}".encode()).hexdigest()
        return cache_folder() / "uploads" / name
