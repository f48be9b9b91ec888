"""An artifact as an OCI registry stores it: a manifest of files, in the terms of ModelPack.

Media types, configuration and annotations: github.com/modelpack/model-spec (``docs/spec.md``,
``docs/annotations.md``, ``schema/config-schema.json``); the manifest: OCI image specification 1.1,
"Guidelines for artifact usage". The title annotation is where ORAS looks for a file's name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from convert.errors import BrokenInputError
from convert.licences import spdx_identifier
from convert.manifest import COMPANIONS, Manifest
from convert.publishing.contents import Item, safe_path

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"

_ARTIFACT = "application/vnd.cncf.model.manifest.v1+json"
_CONFIG = "application/vnd.cncf.model.config.v1+json"
_WEIGHT = "application/vnd.cncf.model.weight.v1.raw"
_SETTINGS = "application/vnd.cncf.model.weight.config.v1.raw"
_DOCUMENT = "application/vnd.cncf.model.doc.v1.raw"
_WEIGHT_ENDINGS = frozenset({".gguf", ".safetensors", ".bin", ".onnx", ".data", ".pt2"})
_DOCUMENT_ENDINGS = frozenset({".md", ".html", ".txt"})
_FILE_PATH, _TITLE = "org.cncf.model.filepath", "org.opencontainers.image.title"
_DIGEST_PREFIX = "sha256:"


@dataclass(frozen=True)
class Layer:
    """A file in a registry: its path, and the blob that it is."""

    path: str
    digest: str
    size: int


def model_config(manifest: Manifest, licence: str, items: Sequence[Item]) -> bytes:
    """The configuration object of ModelPack; without a time, so that equal artifacts are equal."""
    base, _, revision = manifest.source.label.partition("@")
    spdx = spdx_identifier(licence)
    descriptor = {
        "name": manifest.artifact,
        "title": f"{base} for {manifest.target}",
        "revision": revision,
        "licenses": [spdx] if spdx else [],
    }
    config = {
        "architecture": "transformer",
        "format": manifest.target,
        "precision": manifest.recipe.encoding or "mixed",
        "quantization": manifest.recipe.method or "",
        "capabilities": {"inputTypes": ["text"], "outputTypes": ["text"]},
    }
    document = {
        "descriptor": {key: value for key, value in descriptor.items() if value},
        "config": {key: value for key, value in config.items() if value},
        "modelfs": {"type": "layers", "diffIds": [item.digest for item in items]},
    }
    return _json(document)


def image_manifest(manifest: Manifest, licence: str, items: Sequence[Item], config: Item) -> bytes:
    """The manifest that makes the blobs an artifact; equal artifacts give equal bytes."""
    base = manifest.source.label.partition("@")[0]
    annotations = {
        _TITLE: manifest.artifact,
        "org.opencontainers.image.description": f"{base} for {manifest.target}",
        "org.opencontainers.image.licenses": spdx_identifier(licence) or licence,
    }
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": _ARTIFACT,
            "config": {"mediaType": _CONFIG, "digest": config.digest, "size": config.size},
            "layers": [_descriptor(item) for item in items],
            "annotations": annotations,
        }
    )


def digest_of(data: bytes) -> str:
    """As registries write it."""
    return _DIGEST_PREFIX + hashlib.sha256(data).hexdigest()


def parse_layers(data: bytes) -> tuple[Layer, ...]:
    """The files of a manifest.

    Raises:
        BrokenInputError: It is not a manifest of files, or not a sound one.
        UnsafePathError: It names a path outside the artifact.
    """
    try:
        document = json.loads(data)
        layers = tuple(map(_layer, document["layers"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BrokenInputError(
            "what the registry has there is no manifest of a model's files",
            expected=f"{MANIFEST_TYPE} whose layers name their files",
            found=f"{type(error).__name__}: {error}"[:200],
        ) from None
    if len({layer.path for layer in layers}) != len(layers):
        raise BrokenInputError("the registry's manifest names a file twice")
    return layers


def _layer(values: Mapping[str, Any]) -> Layer:
    notes = values["annotations"]
    digest, size = values["digest"], values["size"]
    if type(size) is not int or size < 0:
        raise ValueError("a size that is none")
    hexadecimal = digest.removeprefix(_DIGEST_PREFIX)
    if len(hexadecimal) != 64 or not digest.startswith(_DIGEST_PREFIX):
        raise ValueError("a digest that is no SHA-256")
    int(hexadecimal, 16)
    path = notes[_FILE_PATH] if _FILE_PATH in notes else notes[_TITLE]
    return Layer(safe_path(path), digest, size)


def _descriptor(item: Item) -> dict[str, Any]:
    return {
        "mediaType": _media_type(item.path),
        "digest": item.digest,
        "size": item.size,
        "annotations": {_FILE_PATH: item.path, _TITLE: item.path},
    }


def _media_type(path: str) -> str:
    ending = PurePosixPath(path).suffix
    if path in COMPANIONS or ending in _DOCUMENT_ENDINGS:
        return _DOCUMENT
    return _WEIGHT if ending in _WEIGHT_ENDINGS else _SETTINGS


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode()
