"""What the gate adds to the comparison of logits: stored weights, and the tokenizer's presence."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys

import pytest

from convert import examining
from convert.checkpoint import open_checkpoint
from convert.errors import GateError
from convert.gating import gate_artifact, thresholds
from convert.manifest import SourceRecord, read_manifest
from convert.preparation import open_source, prepare, resolve_encoding
from convert.progress import Reporter
from convert.recipe import Artifact, Gate
from convert.weight_errors import WeightError
from golden.gate import ROOT
from golden.result import Parity
from targets import target
from tests.convert.test_gate_lines import RESULT
from tests.support.runs import TINY_LLAMA


@pytest.fixture
def gate(tmp_path, monkeypatch):
    """Gate an artifact whose comparison and weight errors are given."""
    checkpoint = open_checkpoint(str(TINY_LLAMA))
    artifact = resolve_encoding(Artifact(format="onnx", encoding="int8"))
    source = open_source(checkpoint)
    item = prepare(checkpoint, source, artifact, tokenizer=True, strict=False)
    (tmp_path / "golden").write_bytes(b"x")

    def run(result=RESULT, error=0.001, tokenizer=True):
        errors = (WeightError("layer.7", error), WeightError("layer.8", 0.0))
        monkeypatch.setattr(examining, "run_gate", lambda *_, **__: result)
        monkeypatch.setattr(examining, "weight_errors", lambda *_: errors)
        return gate_artifact(
            item, tmp_path, checkpoint, SourceRecord(label="m", digest="d", files=()),
            tmp_path / "golden", tokenizer=tokenizer, threads=1, reporter=Reporter(io.StringIO()),
        )  # fmt: skip

    return run


def test_a_passing_artifact_is_recorded_with_its_worst_tensor(gate):
    record = gate()
    assert (record.status, record.golden, record.worst_tensor) == ("passed", "golden", "layer.7")


@pytest.mark.parametrize("error", [0.5, float("nan")])
def test_a_tensor_with_too_large_an_error_fails_whatever_the_logits_say(gate, error):
    with pytest.raises(GateError, match="does not match") as caught:
        gate(error=error)
    assert "layer.7 differs most" in str(caught.value)


def test_every_figure_that_failed_is_named(gate):
    failed = dataclasses.replace(RESULT, failures=("mean KL is above", "top-1 is below"))
    with pytest.raises(GateError) as caught:
        gate(result=failed)
    assert "mean KL is above; top-1 is below; stored weights" in str(caught.value)


COMPARE = """
import runpy, sys
try:
    runpy.run_module("golden.compare", run_name="__main__", alter_sys=True)
finally:
    print(*(name for name, module in sys.modules.items() if module is not None), file=sys.stderr)
"""


@pytest.mark.parametrize("name", ["gguf-q8_0", "onnx-f32", "openvino-int8", "gaudi-bf16"])
def test_an_artifact_is_compared_without_libraries_that_it_does_not_need(converted, name):
    manifest = read_manifest(converted.artifacts[name])
    limits = json.dumps(thresholds(manifest.recipe).to_mapping())
    arguments = [str(converted.artifacts[name]), "--target", manifest.target]
    arguments += ["--golden", str(converted.golden), "--thresholds", limits, "--threads", "1"]
    ended = subprocess.run(
        [sys.executable, "-c", COMPARE, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ended.stderr.splitlines()[-1].split())
    runs_in_torch = target(manifest.target).runs_in_torch
    assert {"golden.metrics", "targets.base"} <= loaded
    assert ("torch" in loaded) == runs_in_torch
    assert runs_in_torch or not {"onnx_ir", "sympy", "numba", "pydantic"} & loaded


def test_a_tokenizer_that_got_lost_fails(gate):
    lost = dataclasses.replace(RESULT, tokenizer=Parity(0, 0, "carries no tokenizer"))
    with pytest.raises(GateError, match="does not match") as caught:
        gate(result=lost)
    assert "tokenizer was not compared: carries no tokenizer" in str(caught.value)
    assert gate(result=lost, tokenizer=False).status == "passed"


def test_a_recipe_may_set_its_own_thresholds():
    loose = thresholds(Artifact(format="onnx", encoding="int8", gate=Gate(mean_kld=0.5)))
    assert loose.mean_kld == 0.5
    assert loose.top1 == thresholds(Artifact(format="onnx", encoding="int8")).top1
