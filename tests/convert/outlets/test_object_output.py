"""Whole runs whose output is a bucket: the bytes of a local run, whatever happens on the way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convert import api
from convert.errors import GateError, OutputExistsError
from convert.outlets.choosing import staged
from tests.support.runs import PROMPTS, TINY_LLAMA

ROOT = Path(__file__).resolve().parents[3]
_SMALL_PARTS = """
import sys
from convert.outlets import parts
parts.PART_BYTES = parts._STEP = 1 << 16
from convert.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
_OPTIONS = ["--to", "gguf:q4_0", "--to", "onnx:int8", "--no-gate", "--no-report"]


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def published(bucket):
    return {key.removeprefix("made/"): data for key, data in bucket.objects().items()}


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    out = tmp_path_factory.mktemp("local")
    made = api.run(TINY_LLAMA, to=["gguf:q4_0", "onnx:int8"], out=out, gate=False, report=False)
    return {
        f"{folder.name}/{name}": data
        for folder in made.folders
        for name, data in files_of(folder).items()
    }


def command(bucket, staging):
    program = [sys.executable, "-c", _SMALL_PARTS, "run", str(TINY_LLAMA), "--out", bucket.url]
    return [*program, *_OPTIONS, "--memory", "1MB", "--staging", str(staging)]


@pytest.mark.slow
def test_a_killed_run_sends_no_part_again_and_ends_in_the_bytes_of_a_local_one(
    bucket, s3, tmp_path, local
):
    s3.open_for = 7
    with subprocess.Popen(command(bucket, tmp_path), cwd=ROOT, env=os.environ) as run:
        for _ in range(1200):
            if len(s3.parts()) > s3.open_for:
                break
            assert run.poll() is None, "it ended before enough parts were sent"
            time.sleep(0.05)
        time.sleep(2)  # answers to the parts before are noted
        run.kill()
    # Those that wait at the gate belong to nobody any more; they arrive late, or never.
    assert not bucket.objects()
    journals = staged(bucket.url, tmp_path).glob(".*.parts")
    noted = sum(line.startswith("[") for path in journals for line in path.read_text().splitlines())
    assert noted == 7
    before = {line.partition("uploadId")[2] for line in s3.parts()[:7]}
    s3.gate.set()
    s3.open_for = None
    s3.asked.clear()
    s3.answers = [("partNumber", 500), ("partNumber", 503)]
    second = subprocess.run(
        command(bucket, tmp_path), cwd=ROOT, check=True, capture_output=True, text=True
    )
    after = {line.partition("uploadId")[2] for line in s3.parts()}
    assert after
    assert not before & after
    assert "were there already" in second.stderr
    assert second.stdout.split() == [f"{bucket.url}/{name}" for name in ("gguf-q4_0", "onnx-int8")]
    assert published(bucket) == local
    assert not bucket.uploads()


@pytest.mark.slow
def test_a_failed_gate_leaves_nothing_and_a_passed_one_everything(bucket, tmp_path):
    impossible = {
        "name": "test",
        "prompts": str(PROMPTS),
        "artifacts": [{"format": "onnx", "encoding": "int8", "gate": {"mean_kld": 1e-12}}],
    }
    with pytest.raises(GateError):
        api.run(TINY_LLAMA, recipe=impossible, out=bucket.url, staging=tmp_path, threads=1)
    assert not bucket.objects()
    assert not bucket.uploads()
    recording = next(staged(bucket.url, tmp_path).glob("golden-*.safetensors"))
    bucket.put("recordings/golden.safetensors", recording.read_bytes())
    bucket.put("recordings/prompts.txt", PROMPTS.read_bytes())
    url = f"s3://{bucket.name}/recordings"
    made = api.run(
        TINY_LLAMA, to="onnx:int8", out=bucket.url, staging=tmp_path / "else", threads=1,
        golden=f"{url}/golden.safetensors", prompts=f"{url}/prompts.txt",
    )  # fmt: skip
    assert made["onnx-int8"].place == f"{bucket.url}/onnx-int8"
    assert {"made/onnx-int8/manifest.json", "made/onnx-int8.report.html"} <= set(bucket.objects())
    with pytest.raises(OutputExistsError, match=f"{bucket.url}/onnx-int8 already exists"):
        api.run(TINY_LLAMA, to="onnx:int8", out=bucket.url, staging=tmp_path / "else")
    place = f"{bucket.url}/onnx-int8"
    assert api.verify(place, golden=f"{url}/golden.safetensors", threads=1).gate.passed
    bucket.put("made/onnx-int8/extra.bin", b"")
    with pytest.raises(GateError):
        api.verify(place, gate=False)
