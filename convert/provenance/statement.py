"""The manifest as an in-toto statement with SLSA provenance: what was made, of what, how, by what.

in-toto Statement v1 (https://in-toto.io/Statement/v1), predicate SLSA Provenance v1
(https://slsa.dev/spec/v1.0/provenance). It follows from the manifest alone, says nothing that the
manifest does not say, and has no time and no name of a machine in it.
"""

from __future__ import annotations

from typing import Any

from convert.hashing import FileRecord
from convert.manifest import MANIFEST_NAME, Manifest
from convert.provenance.origins import (
    TOOL,
    adapter_number,
    hub_commit,
    other_inputs,
    package_purl,
    tool_version,
)

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "pkg:pypi/tricast#convert/v1"
"""Names the meaning of the parameters; docs/provenance.md tells it. A change of form is a v2."""

Descriptor = dict[str, Any]
"""An in-toto ResourceDescriptor."""


def statement(manifest: Manifest, manifest_sha256: str) -> dict[str, Any]:
    """The statement about an artifact.

    Args:
        manifest: Of the artifact.
        manifest_sha256: Of the bytes of its manifest.json, which is a subject like its files.
    """
    files = [_file(record) for record in manifest.files]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [*files, {"name": MANIFEST_NAME, "digest": {"sha256": manifest_sha256}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": _build_definition(manifest),
            "runDetails": {
                "builder": {
                    "id": package_purl(TOOL, tool_version(manifest)),
                    "version": dict(manifest.versions),
                },
                "byproducts": [_gate(manifest)],
            },
        },
    }


def _build_definition(manifest: Manifest) -> dict[str, Any]:
    run = manifest.run
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "artifact": manifest.artifact,
            "target": manifest.target,
            "recipe": manifest.recipe.model_dump(mode="json"),
            "run": None if run is None else run.model_dump(mode="json"),
        },
        "internalParameters": {
            name: None if record is None else record.model_dump(mode="json")
            for name, record in (
                ("calibration", manifest.calibration),
                ("weighting", manifest.weighting),
                ("imatrix", manifest.imatrix),
                ("calibrated", manifest.calibrated),
            )
        },
        "resolvedDependencies": _dependencies(manifest),
    }


def _dependencies(manifest: Manifest) -> list[Descriptor]:
    hub = hub_commit(manifest.source.label)
    found: list[Descriptor] = []
    for record in manifest.source.files:
        own = adapter_number(record.path) is None
        found.append(
            {
                **_file(record),
                **({"uri": hub.purl(record.path)} if hub is not None and own else {}),
                "annotations": {"use": "checkpoint" if own else "adapter"},
            }
        )
    for other in other_inputs(manifest):
        digest = {"sha256": other.sha256}
        found.append({"name": other.name, "digest": digest, "annotations": {"use": other.use}})
    for name, version in manifest.versions.items():
        descriptor = {"name": name, "uri": package_purl(name, version)}
        found.append({**descriptor, "annotations": {"use": "software"}})
    return found


def _gate(manifest: Manifest) -> Descriptor:
    """The recording of the original, and what the comparison with it found."""
    gate = manifest.gate
    descriptor: Descriptor = {"name": gate.golden or "gate"}
    if gate.golden_sha256 is not None:
        descriptor["digest"] = {"sha256": gate.golden_sha256}
    return {**descriptor, "annotations": {"gate": gate.model_dump(mode="json")}}


def _file(record: FileRecord) -> Descriptor:
    return {"name": record.path, "digest": {"sha256": record.sha256}}
