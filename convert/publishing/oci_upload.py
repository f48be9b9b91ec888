"""Sends one blob to a registry: in chunks, and on from where an earlier attempt broke off."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

from convert.publishing.contents import Item
from convert.publishing.file_slice import Advance, FileSlice
from convert.publishing.oci_client import (
    InterruptedRequestError,
    RefusedRequestError,
    RegistryClient,
)
from convert.publishing.oci_sessions import UploadSessions

if TYPE_CHECKING:
    import requests

CHUNK_BYTES = 64 << 20
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")
_NO_CHUNKS = frozenset({400, 404, 405, 411, 413, 415, 416, 501})
_OCTETS = "application/octet-stream"


@dataclass(frozen=True)
class _Session:
    """An upload on its way: where it goes on, and the bytes that are there."""

    location: str
    offset: int


class BlobUploader:
    """Sends blobs (OCI distribution specification 1.1, "Pushing a blob in chunks").

    Args:
        client: To the repository.
        sessions: Remembers what has begun.
        advance: Told of bytes sent, or found to be there.
        chunk_bytes: Larger blobs go in chunks of so many.
    """

    def __init__(
        self,
        client: RegistryClient,
        sessions: UploadSessions,
        advance: Advance,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self._client, self._sessions = client, sessions
        self._advance, self._chunk_bytes = advance, chunk_bytes

    def send(self, item: Item) -> bool:
        """Send a blob unless it is there.

        Returns:
            Whether anything was sent.

        Raises:
            InterruptedRequestError: The registry was away or busy for longer than our patience.
            RefusedRequestError: It does not take the blob.
        """
        if self._is_there(item):
            self._advance(item.size)
            return False
        if item.size <= self._chunk_bytes:
            self._send_whole(item)
        else:
            self._send_chunks(item)
        self._sessions.drop(item.digest)
        return True

    def _is_there(self, item: Item) -> bool:
        try:
            self._client.patiently("HEAD", f"blobs/{item.digest}").close()
        except RefusedRequestError as refusal:
            if refusal.status == 404:
                return False
            raise
        return True

    def _begin(self) -> _Session:
        response = self._client.patiently("POST", "blobs/uploads/", headers={"Content-Length": "0"})
        return _Session(self._location(response), 0)

    def _send_whole(self, item: Item) -> None:
        failures = 0
        while True:
            session = self._begin()
            try:
                self._close(session, item, 0, item.size)
                return
            except InterruptedRequestError as interruption:
                failures += 1
                if not self._client.patience.wait(failures, interruption.retry_after):
                    raise
                if self._is_there(item):
                    self._advance(item.size)
                    return

    def _send_chunks(self, item: Item) -> None:
        session = self._resumed(item) or self._begin()
        self._advance(session.offset)
        failures = 0
        while True:
            try:
                if session.offset >= item.size:
                    self._close(session, item, item.size, 0)
                    return
                session = self._patch(session, item)
                failures = 0
            except InterruptedRequestError as interruption:
                failures += 1
                if not self._client.patience.wait(failures, interruption.retry_after):
                    raise
                if self._is_there(item):
                    self._advance(item.size - session.offset)
                    return
                session = self._again(session, item)
            except RefusedRequestError as refusal:
                if refusal.status not in _NO_CHUNKS:
                    raise
                self._advance(-session.offset)
                self._sessions.drop(item.digest)
                # Not every registry takes chunks, or goes on with an upload of another day.
                self._send_whole(item)
                return

    def _patch(self, session: _Session, item: Item) -> _Session:
        length = min(self._chunk_bytes, item.size - session.offset)
        last = session.offset + length - 1
        with FileSlice(item, session.offset, length, self._advance) as body:
            response = self._client.once(
                "PATCH",
                session.location,
                headers={"Content-Type": _OCTETS, "Content-Range": f"{session.offset}-{last}"},
                body=lambda: _rewound(body),
            )
        after = _Session(self._location(response), session.offset + length)
        self._sessions.put(item.digest, after.location)
        return after

    def _again(self, session: _Session, item: Item) -> _Session:
        """Where to go on after a broken request: what came counts, if the registry knows it."""
        found = self._asked(session.location, item) or self._begin()
        self._advance(found.offset - session.offset)
        self._sessions.put(item.digest, found.location)
        return found

    def _resumed(self, item: Item) -> _Session | None:
        location = self._sessions.get(item.digest)
        return None if location is None else self._asked(location, item)

    def _asked(self, location: str, item: Item) -> _Session | None:
        """Ask a registry how far an upload is; None if it has forgotten."""
        try:
            response = self._client.patiently("GET", location)
        except RefusedRequestError:
            return None
        match = _RANGE.fullmatch(response.headers.get("Range", ""))
        if match is None or not 0 < int(match[1]) < item.size:
            # An upload without a byte says 0-0, as does one of a single byte.
            return None
        return _Session(self._location(response, location), int(match[1]) + 1)

    def _close(self, session: _Session, item: Item, start: int, length: int) -> None:
        parts = urlsplit(session.location)
        query = "&".join(each for each in (parts.query, urlencode({"digest": item.digest})) if each)
        with FileSlice(item, start, length, self._advance) as body:
            self._client.once(
                "PUT",
                urlunsplit(parts._replace(query=query)),
                headers={"Content-Type": _OCTETS, "Content-Length": str(length)},
                body=(lambda: _rewound(body)) if length else None,
            ).close()

    def _location(self, response: requests.Response, otherwise: str | None = None) -> str:
        response.close()
        named = response.headers.get("Location") or otherwise
        if not named:
            raise RefusedRequestError(response.status_code, "an upload without a Location")
        return self._client.url(named)


def _rewound(body: FileSlice) -> FileSlice:
    """The body from its first byte, for a second request."""
    body.rewind()
    return body
