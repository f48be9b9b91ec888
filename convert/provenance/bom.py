"""The manifest as a CycloneDX machine-learning bill of materials (ML-BOM, version 1.6, JSON).

Fields as in https://cyclonedx.org/docs/1.6/json/. It follows from the manifest alone: the serial
number from the manifest's hash, and there is no time in it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from convert.hashing import FileRecord
from convert.licences import spdx_identifier
from convert.manifest import MANIFEST_NAME, Manifest, SourceRecord
from convert.provenance.model_card import model_card
from convert.provenance.origins import (
    TOOL,
    adapter_number,
    hub_commit,
    other_inputs,
    package_purl,
    tool_version,
)

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "pkg:pypi/tricast#bom/v1")

Component = dict[str, Any]


def bill_of_materials(manifest: Manifest, manifest_sha256: str) -> dict[str, Any]:
    """The bill of materials of an artifact.

    Args:
        manifest: Of the artifact.
        manifest_sha256: Of the bytes of its manifest.json.
    """
    inputs = [_source(manifest.source), *_adapters(manifest), *_others(manifest)]
    software = [_package(*item) for item in manifest.versions.items() if item[0] != TOOL]
    version = tool_version(manifest)
    tool = {
        "type": "application",
        "name": TOOL,
        **({} if version is None else {"version": version}),
        "purl": package_purl(TOOL, version),
    }
    used = [component["bom-ref"] for component in (*inputs, *software)]
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, manifest_sha256)}",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [tool]},
            "component": _artifact(manifest, manifest_sha256),
        },
        "components": [*inputs, *software],
        "dependencies": [{"ref": "artifact", "dependsOn": used}],
    }


def _artifact(manifest: Manifest, manifest_sha256: str) -> Component:
    own = FileRecord(path=MANIFEST_NAME, size=0, sha256=manifest_sha256)
    files = [_file("artifact", record) for record in (*manifest.files, own)]
    return {
        "type": "machine-learning-model",
        "bom-ref": "artifact",
        "name": f"{manifest.source.label}/{manifest.artifact}",
        "version": manifest_sha256[:16],
        **_licences(manifest.source),
        "components": files,
        "modelCard": model_card(manifest),
    }


def _source(source: SourceRecord) -> Component:
    hub = hub_commit(source.label)
    origin = {} if hub is None else {"purl": hub.purl()}
    own = (record for record in source.files if adapter_number(record.path) is None)
    return {
        "type": "machine-learning-model",
        "bom-ref": "source",
        "name": source.label if hub is None else hub.name,
        "version": source.digest[:16] if hub is None else hub.commit,
        **origin,
        **_licences(source),
        "components": [_file("source", record) for record in own],
    }


def _adapters(manifest: Manifest) -> Iterator[Component]:
    files: dict[int, list[FileRecord]] = {}
    for record in manifest.source.files:
        number = adapter_number(record.path)
        if number is not None:
            files.setdefault(number, []).append(record)
    names = manifest.run.lora if manifest.run is not None else ()
    for number, records in sorted(files.items()):
        reference = f"adapter-{number}"
        yield {
            "type": "machine-learning-model",
            "bom-ref": reference,
            "name": names[number - 1] if 0 < number <= len(names) else reference,
            "description": "LoRA adapter, merged into the weights",
            "components": [_file(reference, record) for record in records],
        }


def _others(manifest: Manifest) -> Iterator[Component]:
    for number, other in enumerate(other_inputs(manifest), 1):
        yield {
            "type": "data",
            "bom-ref": f"input-{number}",
            "name": other.name,
            "description": other.use,
            "hashes": _hashes(other.sha256),
        }


def _package(name: str, version: str) -> Component:
    purl = package_purl(name, version)
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _file(owner: str, record: FileRecord) -> Component:
    return {
        "type": "file",
        "bom-ref": f"{owner}/{record.path}",
        "name": record.path,
        "hashes": _hashes(record.sha256),
    }


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]


def _licences(source: SourceRecord) -> dict[str, Any]:
    """What the source's model card states holds for what is made of it, too."""
    if source.licence is None:
        return {}
    known = spdx_identifier(source.licence)
    named = {"name": source.licence} if known is None else {"id": known}
    return {"licenses": [{"license": {**named, "acknowledgement": "declared"}}]}
