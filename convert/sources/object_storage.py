"""A folder in object storage: what is in it, and ranges of its objects.

obstore reaches the storage: one compiled module for S3, Google and Azure, which tries again what
may succeed. Credentials come from where the storages' own tools take them; boto3 finds those of S3
in profiles and sign-ons too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from threading import Lock
from typing import TYPE_CHECKING, Any

from convert.errors import TruncatedFileError, UsageError
from convert.sources.object_storage_errors import explained, no_credentials

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_RETRIES = 6
_RETRY_TIMEOUT = timedelta(seconds=120)
_SHORT_ANSWERS = 3
_LISTING_SECONDS = 2.0
_CREDENTIAL_LIFE = timedelta(minutes=10)
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


@dataclass(frozen=True)
class StoredObject:
    """What the storage says of an object.

    Args:
        mark: Its ETag; where there is none, the time of its last change.
    """

    size: int
    etag: str | None
    mark: str


class ObjectFolder:
    """The objects right below a place; subfolders hold other things and are left out.

    Args:
        url: As `object_storage_urls.checked_url` gives it.

    Raises:
        UsageError: The extra is not installed.
        UnavailableSourceError: There is no such bucket, no right to it or no answer.
    """

    def __init__(self, url: str) -> None:
        self._begin(url, open_store(url))
        self.objects = self.listing()

    def _begin(self, url: str, store: ObjectStore | None) -> None:
        self.url = url
        self._opened = store
        self._lock = Lock()
        self._listed_at = 0.0
        self._latest: Mapping[str, StoredObject] = {}

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which finds credentials of its own and opens the place when it
        reads: what was there at first, with the ETags that reads are held to.
        """
        return {"url": self.url, "objects": dict(self.objects)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._begin(state["url"], None)
        self.objects = state["objects"]

    @property
    def _store(self) -> ObjectStore:
        with self._lock:
            if self._opened is None:
                self._opened = open_store(self.url)
            return self._opened

    def listing(self) -> Mapping[str, StoredObject]:
        """What is there now, or was two seconds ago, by name."""
        import obstore

        store = self._store
        with self._lock:
            if time.monotonic() - self._listed_at > _LISTING_SECONDS or not self._latest:
                try:
                    found = obstore.list_with_delimiter(store)["objects"]
                except Exception as error:
                    raise explained(error, self.url) from None
                names = {str(each["path"]).rpartition("/")[2]: each for each in found}
                self._latest = {name: _described(each) for name, each in names.items()}
                self._listed_at = time.monotonic()
            return self._latest

    def read(self, name: str, start: int, stop: int) -> memoryview:
        """Bytes ``start`` to ``stop`` of an object, which must be what it was at first.

        Raises:
            ChangedInputError: It is another one by now.
            UnavailableSourceError: No right, no answer.
            TruncatedFileError: Less than that has come, time after time.
        """
        import obstore

        if start == stop:
            return memoryview(b"")
        options: Any = {"range": (start, stop)}
        if self.objects[name].etag is not None:
            options["if_match"] = self.objects[name].etag
        got = 0
        for _ in range(_SHORT_ANSWERS):
            try:
                data = memoryview(obstore.get(self._store, name, options=options).bytes())
            except Exception as error:
                raise explained(error, f"{self.url}/{name}") from None
            got = len(data)
            if got == stop - start:
                return data
        raise TruncatedFileError(
            f"{self.url}/{name} ends early",
            expected=f"{stop - start} bytes at offset {start}",
            found=f"{got} bytes",
            remedy="upload the file again",
        )


def _described(meta: Mapping[str, Any]) -> StoredObject:
    etag = meta["e_tag"]
    return StoredObject(meta["size"], etag, etag or meta["last_modified"].isoformat())


def open_store(url: str) -> ObjectStore:
    """What obstore reaches a folder by.

    Raises:
        UsageError: The extra is not installed.
        UnavailableSourceError: There are no credentials.
    """
    try:
        from obstore.store import from_url
    except ImportError:
        raise UsageError(
            f"{url} is in object storage, for which a package is missing",
            expected="the extra `cloud`, on Python 3.11 or later",
            remedy="pip install 'tricast[cloud]'",
        ) from None
    options: dict[str, Any] = {
        "retry_config": {"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT},
    }
    if url.startswith("s3://"):
        options |= _s3_options(url)
    try:
        return from_url(url, **options)
    except Exception as error:
        raise explained(error, url) from None


def endpoint() -> str | None:
    """Where another S3 server than Amazon's is, if the environment says so."""
    return next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), None)


def _s3_options(url: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    place = endpoint()
    if place is not None:
        options["endpoint"] = place
        # Who names an endpoint without TLS has one on this machine or network.
        options["client_options"] = {"allow_http": place.startswith("http://")}
    if os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in {"1", "true", "yes"}:
        return {**options, "skip_signature": True}
    import boto3

    try:
        session = boto3.Session()
        credentials = session.get_credentials()
    except Exception as error:  # a profile that is not there, a sign-on that has run out
        raise explained(error, url) from None
    if credentials is None:
        raise no_credentials(url)
    if session.region_name is not None:
        options["region"] = session.region_name
    return {**options, "credential_provider": _provider(credentials)}


def _provider(credentials: Any) -> Callable[[], dict[str, Any]]:
    """Asks boto3 again before keys that are lent for a while run out."""

    def provide() -> dict[str, Any]:
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(timezone.utc) + _CREDENTIAL_LIFE,
        }

    return provide
