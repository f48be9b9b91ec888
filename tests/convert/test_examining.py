"""What a gate computes can be computed elsewhere, and a crash of one is no matter of others."""

from __future__ import annotations

import io
import pickle

import pytest

from convert import examining
from convert.checkpoint import open_checkpoint
from convert.errors import BrokenInputError, RunnerCrashedError
from convert.examining import Examined, Refused, examine
from convert.gating import gate_artifact, task_of
from convert.manifest import SourceRecord
from convert.preparation import open_source, prepare, resolve_encoding
from convert.progress import Reporter
from convert.recipe import Artifact
from convert.weight_errors import WeightError
from convert.workers import THIS_PROCESS
from golden.memory import OVERHEAD
from tests.convert.test_gate_lines import RESULT
from tests.support.runs import TINY_LLAMA, convert_tiny
from tests.support.workers import Elsewhere

RECORD = SourceRecord(label="m", digest="d", files=())


@pytest.fixture(scope="module")
def checkpoint():
    return open_checkpoint(str(TINY_LLAMA))


@pytest.fixture(scope="module")
def items(checkpoint):
    source = open_source(checkpoint)
    artifacts = (Artifact(format="onnx", encoding=name) for name in ("int8", "int4"))
    return [
        prepare(checkpoint, source, resolve_encoding(each), tokenizer=True, strict=False)
        for each in artifacts
    ]


def task(item, checkpoint, folder):
    return task_of(item, folder, checkpoint, RECORD, folder / "golden", threads=3)


def test_a_task_goes_to_another_process_and_says_what_it_needs(checkpoint, items, tmp_path):
    exact, coarse = (task(item, checkpoint, tmp_path) for item in items)
    assert exact.original is None
    assert coarse.original == checkpoint.folder
    assert exact.memory == items[0].nbytes + OVERHEAD
    assert coarse.memory > items[1].nbytes + OVERHEAD
    there = pickle.loads(pickle.dumps(coarse))
    assert (there.target, there.limits, there.threads) == ("onnx", coarse.limits, 3)
    name, weight = next(iter(coarse.weights.items()))
    same = there.weights[name].read_rows(0, weight.rows) == weight.read_rows(0, weight.rows)
    assert same.all()


def test_what_is_found_elsewhere_is_judged_here(checkpoint, items, tmp_path, monkeypatch):
    found = Examined(RESULT, (WeightError("layer.7", 0.001),), 1.25)
    monkeypatch.setattr(examining, "run_gate", lambda *_, **__: pytest.fail("it was run here"))
    (tmp_path / "golden").touch()
    said = io.StringIO()
    record = gate_artifact(
        *(items[0], tmp_path, checkpoint, RECORD, tmp_path / "golden"),
        tokenizer=True, threads=1, reporter=Reporter(said), examined=lambda: found,
    )  # fmt: skip
    assert record.worst_tensor == "layer.7"
    assert said.getvalue().startswith("check onnx-int8 ...")


def test_an_artifact_that_its_runtime_refuses_stops_no_other(
    checkpoint, items, tmp_path, monkeypatch
):
    def run(artifact, *_, **named):
        if named["original"] is None:
            raise RunnerCrashedError("it died", remedy="pray")
        return RESULT

    monkeypatch.setattr(examining, "run_gate", run)
    monkeypatch.setattr(examining, "weight_errors", lambda *_: (WeightError("a", 0.0),))
    tasks = [task(item, checkpoint, tmp_path) for item in items]
    refused, fine = Elsewhere(2).map(examine, tasks)
    assert isinstance(refused, Refused) and isinstance(fine, Examined)
    judged = []
    reporter = Reporter(io.StringIO())
    reporter.judged = judged.append
    with pytest.raises(RunnerCrashedError, match="it died") as caught:
        gate_artifact(
            *(items[0], tmp_path, checkpoint, RECORD, tmp_path / "golden"),
            tokenizer=True, threads=1, reporter=reporter, examined=lambda: refused,
        )  # fmt: skip
    assert caught.value.remedy == "pray"
    assert "it died" in judged[0].error


def test_what_is_wrong_with_more_than_the_artifact_is_raised(
    checkpoint, items, tmp_path, monkeypatch
):
    def run(*_, **__):
        raise BrokenInputError("the recording is torn")

    monkeypatch.setattr(examining, "run_gate", run)
    with pytest.raises(BrokenInputError, match="torn"):
        list(Elsewhere(2).map(examine, [task(items[0], checkpoint, tmp_path)]))


@pytest.mark.slow
def test_a_run_over_workers_leaves_the_same_bytes_and_says_the_same(tmp_path):
    said, to = {}, ("gguf:q4_0", "onnx:int8")
    for name, workers in (("here", THIS_PROCESS), ("there", Elsewhere(2))):
        said[name] = io.StringIO()
        convert_tiny(tmp_path / name, *to, workers=workers, said=said[name])
    here, there = (
        {path.relative_to(tmp_path / name): path for path in (tmp_path / name).rglob("*.*")}
        for name in said
    )
    assert here.keys() == there.keys() and len(here) > 6
    for name, path in here.items():
        assert there[name].read_bytes() == path.read_bytes(), name
    stages = {
        name: [line for line in text.getvalue().splitlines() if "..." in line or "KL" in line]
        for name, text in said.items()
    }
    assert stages["there"] == stages["here"]
    assert sum(line.startswith("check ") for line in stages["here"]) == 2
    assert len(workers.done) == 4  # two parts of the recording, two gates
