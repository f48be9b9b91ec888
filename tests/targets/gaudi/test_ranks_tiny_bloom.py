"""Three ranks of the trained BLOOM, two heads each, pass the gate that the whole model passes."""

from __future__ import annotations

import io

import pytest

from convert.manifest import read_manifest
from convert.pipeline import RunRequest, run
from convert.progress import Reporter
from convert.recipe import Artifact, Recipe
from tests.support.runs import PROMPTS, ROOT


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["bf16", "fp8"])
def test_ranks_pass_the_gate(tmp_path, encoding):
    artifact = Artifact(format="gaudi", encoding=encoding, tensor_parallel=3)
    model = str(ROOT / "golden" / "models" / "tiny-bloom")
    recipe = Recipe(name="test", model=model, prompts=str(PROMPTS), artifacts=(artifact,))
    (folder,) = run(RunRequest(recipe=recipe, out=tmp_path, threads=2), Reporter(io.StringIO()))
    assert folder.name == f"gaudi-{encoding}-tp3"
    manifest = read_manifest(folder)
    assert manifest.gate.status == "passed"
    assert manifest.gate.result["overall"]["mean_kld"] < (0.0005 if encoding == "bf16" else 0.02)
