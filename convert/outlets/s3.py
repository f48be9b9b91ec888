"""Object storage that speaks S3, by boto3: it alone lets one choose, list and resume parts.

Every body goes with its MD5 in ``Content-MD5``, against which the storage must check what arrives.
Most storages also answer with that MD5 as the ETag, and then it is held against ours; a storage
whose ETags are something else (it encrypts with keys of its own, or is not Amazon's) never once
answers with the MD5, so that is no error.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from convert.errors import UsageError
from convert.outlets.part_journal import Sent
from convert.outlets.parts import FilePart
from convert.outlets.s3_errors import code_of, explained, not_what_was_sent
from convert.outlets.storage import Listed, PartStorage
from convert.sources.object_storage import endpoint

_ATTEMPTS = 7
_ATTEMPTS_AT_BYTES = 3
_CONNECT_SECONDS, _READ_SECONDS = 20, 120
_CONNECTIONS = 20
_GONE = frozenset({"404", "NoSuchKey", "NoSuchUpload"})
_DAMAGED = frozenset({"BadDigest"})


class S3Storage:
    """A folder of a bucket; see `convert.outlets.storage.Storage` and `PartStorage`.

    Args:
        url: ``s3://bucket/folder``, as `convert.sources.object_storage_urls.checked_url` gives it.

    Raises:
        UsageError: The extra is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._bucket, _, self._folder = url.removeprefix("s3://").partition("/")
        self._etags_are_md5 = False

    @property
    def parts(self) -> PartStorage:
        """Itself."""
        return self

    def require_access(self) -> None:
        """List, begin an upload, and take it back: the rights without which a run is in vain."""
        probe = ".tricast-may-write"
        with self._explaining(""):
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._key(probe), MaxKeys=1)
        self.abort(probe, self.begin(probe))

    def sizes(self, folder: str) -> Mapping[str, int]:
        """See `Storage`."""
        prefix, found = self._key(f"{folder}/"), {}
        with self._explaining(""):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                for each in page.get("Contents", ()):
                    found[f"{folder}/{each['Key'][len(prefix) :]}"] = int(each["Size"])
        return found

    def read(self, name: str) -> bytes | None:
        """See `Storage`."""
        answer = self._ask(name, self._client.get_object, absent=_GONE)
        if answer is None:
            return None
        with self._explaining(name):
            return bytes(answer["Body"].read())

    def put(self, name: str, path: Path) -> None:
        """See `Storage`."""
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        with FilePart(path, 0, path.stat().st_size) as body:
            self._send_checked(name, body, self._client.put_object, ContentType=kind)

    def remove(self, name: str) -> None:
        """See `Storage`."""
        self._ask(name, self._client.delete_object, absent=_GONE)

    def begin(self, name: str) -> str:
        """See `PartStorage`."""
        answer = self._ask(
            name, self._client.create_multipart_upload, ContentType="application/octet-stream"
        )
        return str(answer["UploadId"])

    def listed(self, name: str, identifier: str) -> Mapping[int, Listed] | None:
        """See `PartStorage`."""
        found: dict[int, Listed] = {}
        page: Any = {"IsTruncated": True, "NextPartNumberMarker": 0}
        while page["IsTruncated"]:
            page = self._ask(
                name,
                self._client.list_parts,
                absent=_GONE,
                UploadId=identifier,
                PartNumberMarker=page["NextPartNumberMarker"],
            )
            if page is None:
                return None
            for each in page.get("Parts", ()):
                found[each["PartNumber"] - 1] = Listed(int(each["Size"]), _bare(each["ETag"]))
        return found

    def send(self, name: str, identifier: str, number: int, body: FilePart) -> Sent:
        """See `PartStorage`."""
        return self._send_checked(
            name, body, self._client.upload_part, UploadId=identifier, PartNumber=number + 1
        )

    def complete(self, name: str, identifier: str, parts: Sequence[Sent], size: int) -> None:
        """See `PartStorage`."""
        if self._etags_are_md5:
            for number, part in enumerate(parts):
                if part.md5 != part.etag:
                    where = f"{self.url}/{name}, part {number + 1}"
                    raise not_what_was_sent(where, f"MD5 {part.md5}", f"ETag {part.etag}")
        numbered = [
            {"PartNumber": number + 1, "ETag": part.etag} for number, part in enumerate(parts)
        ]
        self._ask(
            name,
            self._client.complete_multipart_upload,
            UploadId=identifier,
            MultipartUpload={"Parts": numbered},
        )
        found = self._ask(name, self._client.head_object)["ContentLength"]
        if found != size:
            raise not_what_was_sent(f"{self.url}/{name}", f"{size:,} bytes", f"{found:,} bytes")

    def is_made_of(self, name: str, parts: Sequence[Sent]) -> bool:
        """See `PartStorage`; known by the ETag, the MD5 of the parts' MD5s."""
        together = hashlib.md5(
            b"".join(bytes.fromhex(part.md5) for part in parts), usedforsecurity=False
        )
        found = self._ask(name, self._client.head_object, absent=_GONE)
        expected = f"{together.hexdigest()}-{len(parts)}"
        return found is not None and _bare(found["ETag"]) == expected

    def abort(self, name: str, identifier: str) -> None:
        """See `PartStorage`."""
        self._ask(name, self._client.abort_multipart_upload, absent=_GONE, UploadId=identifier)

    def _send_checked(self, name: str, body: FilePart, call: Any, **given: Any) -> Sent:
        """Send bytes until the storage says that it has them."""
        digest = md5_of(body)
        given |= {"ContentLength": len(body), "ContentMD5": base64.b64encode(digest).decode()}
        etag = "none, for a bad digest"
        for _ in range(_ATTEMPTS_AT_BYTES):
            body.seek(0)
            answer = self._ask(name, call, absent=_DAMAGED, Body=body, **given)
            if answer is not None:
                etag = _bare(answer["ETag"])
                self._etags_are_md5 = self._etags_are_md5 or etag == digest.hex()
                if etag == digest.hex() or not self._etags_are_md5:
                    return Sent(digest.hex(), etag)
        raise not_what_was_sent(f"{self.url}/{name}", f"MD5 {digest.hex()}", f"ETag {etag}")

    def _ask(
        self, name: str, call: Any, *, absent: frozenset[str] = frozenset(), **given: Any
    ) -> Any:
        """What the storage answers about an object; None if that is a code of ``absent``."""
        try:
            return call(Bucket=self._bucket, Key=self._key(name), **given)
        except Exception as error:
            if code_of(error) in absent:
                return None
            raise explained(error, f"{self.url}/{name}") from None

    def _key(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name

    @contextmanager
    def _explaining(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise explained(error, f"{self.url}/{name}".rstrip("/")) from None

    @cached_property
    def _client(self) -> Any:
        try:
            import boto3
            import botocore
            from botocore.config import Config
        except ImportError:
            raise UsageError(
                f"{self.url} is in object storage, for which a package is missing",
                expected="the extra `cloud`",
                remedy="pip install 'tricast[cloud]'",
            ) from None
        options: dict[str, Any] = {
            "retries": {"max_attempts": _ATTEMPTS, "mode": "standard"},
            "connect_timeout": _CONNECT_SECONDS,
            "read_timeout": _READ_SECONDS,
            "max_pool_connections": _CONNECTIONS,
            # Checksums of newer kinds are not known to every server; MD5 is.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        if os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in {"1", "true", "yes"}:
            options["signature_version"] = botocore.UNSIGNED
        with self._explaining(""):
            session = boto3.session.Session()
            region = session.region_name or os.environ.get("AWS_REGION")
            return session.client(
                "s3", region_name=region, endpoint_url=endpoint(), config=Config(**options)
            )


def md5_of(body: FilePart) -> bytes:
    """The MD5 of a part's bytes."""
    digest = hashlib.md5(usedforsecurity=False)
    for piece in body.pieces():
        digest.update(piece)
    return digest.digest()


def _bare(etag: str) -> str:
    return etag.strip('"')
