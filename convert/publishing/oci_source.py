"""Fetches an artifact from an OCI registry: its manifest, then each blob."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import BrokenInputError, VerificationError
from convert.publishing.destination import OciReference
from convert.publishing.oci_client import (
    InterruptedRequestError,
    RefusedRequestError,
    RegistryClient,
)
from convert.publishing.oci_manifest import MANIFEST_TYPE, Layer, digest_of, parse_layers
from convert.publishing.partial_file import PartialFile
from convert.publishing.patience import Patience
from convert.publishing.redaction import Redactor
from convert.publishing.sources import Advance, PublishedArtifact

if TYPE_CHECKING:
    import requests

_BLOCK_BYTES = 1 << 20
_MANIFEST_LIMIT = 4 << 20
_ENDING = ".incomplete"


class OciSource(PublishedArtifact):
    """See the module. The digest of the manifest stands for all that is fetched."""

    def __init__(self, place: OciReference, redactor: Redactor, patience: Patience) -> None:
        self._place = place
        self._client = RegistryClient(place, redactor, patience, pushing=False)
        self._layers: dict[str, Layer] = {}

    def files(self) -> Mapping[str, int | None]:
        try:
            response = self._client.patiently(
                "GET",
                f"manifests/{self._place.reference}",
                headers={"Accept": MANIFEST_TYPE},
                stream=True,
            )
            data = _limited(response)
        except (InterruptedRequestError, RefusedRequestError) as error:
            raise self._client.explained(error) from None
        announced = self._place.digest or response.headers.get("Docker-Content-Digest")
        if announced is not None and announced != digest_of(data):
            raise VerificationError(
                f"{self._place} gives another manifest than it announces",
                expected=announced,
                found=digest_of(data),
            )
        self._layers = {layer.path: layer for layer in parse_layers(data)}
        return {path: layer.size for path, layer in self._layers.items()}

    def fetch(self, path: str, folder: Path, advance: Advance) -> None:
        layer, failures = self._layers[path], 0
        partial = folder / f"{path}{_ENDING}"
        partial.parent.mkdir(parents=True, exist_ok=True)
        while True:
            before = _size(partial)
            try:
                self._go_on(layer, partial, advance)
                break
            except RefusedRequestError as error:
                raise self._client.explained(error) from None
            except InterruptedRequestError as error:
                # A connection that brings something is one worth going on with.
                failures = 1 if _size(partial) > before else failures + 1
                if not self._client.patience.wait(failures, error.retry_after):
                    raise self._client.explained(error) from None
        partial.replace(folder / path)

    def _go_on(self, layer: Layer, path: Path, advance: Advance) -> None:
        with PartialFile(path, advance) as partial:
            if partial.size > layer.size:
                partial.begin_anew()
            if partial.size < layer.size:
                self._receive(layer, partial)
            digest = partial.digest
        if digest != layer.digest:
            path.unlink()
            raise VerificationError(
                f"{layer.path} came damaged from {self._place}",
                expected=layer.digest,
                found=digest,
                remedy="run the same command again; if it stays, the registry's copy is damaged",
            )

    def _receive(self, layer: Layer, partial: PartialFile) -> None:
        import urllib3

        headers = {"Accept-Encoding": "identity"}
        if partial.size:
            headers["Range"] = f"bytes={partial.size}-"
        blob = f"blobs/{layer.digest}"
        try:
            with self._client.once("GET", blob, headers=headers, stream=True) as response:
                if partial.size and response.status_code != HTTPStatus.PARTIAL_CONTENT:
                    partial.begin_anew()
                # What has come counts, though the connection may end before a block is full.
                while block := response.raw.read1(_BLOCK_BYTES):
                    partial.append(block)
                    if partial.size > layer.size:
                        return
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise InterruptedRequestError(type(error).__name__) from None
        if partial.size < layer.size:
            raise InterruptedRequestError(f"{partial.size} of {layer.size} bytes came")


def _limited(response: requests.Response) -> bytes:
    data = bytearray()
    with response:
        for block in response.iter_content(_BLOCK_BYTES):
            data += block
            if len(data) > _MANIFEST_LIMIT:
                raise BrokenInputError(
                    "the registry's manifest is larger than any", expected="at most 4 MiB"
                )
    return bytes(data)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
