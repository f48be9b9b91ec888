"""Publishes to an OCI registry: every file as a blob, and last of all the manifest with its tag.

The client is our own, small and on requests: oras-py 0.2 (the library of ORAS) neither goes on
with an upload that was broken off nor heeds ``Retry-After``, and reads what it sends in one PUT
whole into memory. The names and media types are those that ORAS and ModelPack read.
"""

from __future__ import annotations

from collections.abc import Sequence

from convert.errors import UnavailableDestinationError
from convert.manifest import Manifest
from convert.publishing.contents import Item
from convert.publishing.destination import OciReference
from convert.publishing.file_slice import Advance
from convert.publishing.oci_client import (
    InterruptedRequestError,
    RefusedRequestError,
    RegistryClient,
)
from convert.publishing.oci_manifest import MANIFEST_TYPE, digest_of, image_manifest, model_config
from convert.publishing.oci_sessions import UploadSessions
from convert.publishing.oci_upload import CHUNK_BYTES, BlobUploader
from convert.publishing.patience import Patience
from convert.publishing.redaction import Redactor


class OciPublisher:
    """One publication to a tag. Blobs without a manifest are seen by nobody.

    Args:
        place: Registry, repository and tag.
        redactor: Learns the login.
        patience: With a registry that is busy.
        chunk_bytes: Larger files go in chunks of so many.
    """

    def __init__(
        self,
        place: OciReference,
        redactor: Redactor,
        patience: Patience,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self._client = RegistryClient(place, redactor, patience, pushing=True)
        self._place, self._chunk_bytes = place, chunk_bytes

    def publish(
        self, items: Sequence[Item], manifest: Manifest, licence: str, advance: Advance
    ) -> str:
        """Send everything; the reference by digest, which never means anything else.

        Raises:
            UnavailableDestinationError: The registry refuses, or cannot be reached.
        """
        config = Item.of_bytes("", model_config(manifest, licence, items))
        document = image_manifest(manifest, licence, items, config)
        sessions = UploadSessions(self._place)
        uploader = BlobUploader(self._client, sessions, advance, self._chunk_bytes)
        try:
            for item in {item.digest: item for item in (*items, config)}.values():
                uploader.send(item)
            answer = self._client.patiently(
                "PUT",
                f"manifests/{self._place.reference}",
                headers={"Content-Type": MANIFEST_TYPE},
                body=lambda: document,
            )
        except (InterruptedRequestError, RefusedRequestError) as error:
            raise self._client.explained(error) from None
        digest = digest_of(document)
        if answer.headers.get("Docker-Content-Digest", digest) != digest:
            raise UnavailableDestinationError(
                f"{self._place} stored another manifest than was sent", expected=digest
            )
        return f"oci://{self._place.host}/{self._place.repository}@{digest}"
