"""A planned artifact tells its files, and which devices it was planned for."""

from __future__ import annotations

from dataclasses import replace

from convert.planned_artifact import ArtifactPlan, EncodedBytes, FileSize
from convert.recipe import Artifact
from targets.deployment import DeploymentPlan, MemoryPart

PLAN = ArtifactPlan(
    Artifact(format="gguf", encoding="q4_0"),
    (EncodedBytes("linear", "q4_0", 2, 64, 36),),
    DeploymentPlan("a device", 100, (MemoryPart("weights", 36, "all"),)),
)


def test_files_are_listed_with_their_sum():
    found = replace(PLAN, files=(FileSize("model.gguf", 1_000), FileSize("LICENSE", 24)))
    text = "\n".join(found.lines())
    assert "files: 1,024 bytes, without the manifest: model.gguf 1,000, LICENSE 24" in text
    assert found.to_json()["files"] == {"model.gguf": 1000, "LICENSE": 24}


def test_files_that_are_not_known_are_said_not_to_be():
    assert "files" not in "\n".join(PLAN.lines())
    assert PLAN.to_json()["files"] is None
    text = "\n".join(replace(PLAN, files=()).lines())
    assert "files: their sizes follow from what a run measures" in text


def test_its_own_devices_are_shown_where_no_machine_was_named():
    assert PLAN.deployments == (PLAN.deployment,)
    assert "a device: bytes on each" in PLAN.lines()
