"""A whole run from the hub: interrupted while a shard is on its way, gone on with, and offline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save

from tests.support.fake_hub import COMMIT, Body, FakeHub, serving
from tests.support.runs import ROOT, TINY_LLAMA

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
PATIENCE = 120.0


def tiny_llama_in_two_shards():
    files = {path.name: path.read_bytes() for path in TINY_LLAMA.glob("*.json")}
    tensors = load_file(TINY_LLAMA / "model.safetensors")
    names = sorted(tensors)
    shards = {FIRST: names[: len(names) // 2], SECOND: names[len(names) // 2 :]}
    for file, stored in shards.items():
        files[file] = save({name: tensors[name] for name in stored})
    weight_map = {name: file for file, stored in shards.items() for name in stored}
    index = {"metadata": {}, "weight_map": weight_map}
    return {**files, "model.safetensors.index.json": json.dumps(index).encode()}


@pytest.fixture
def hub():
    with serving(FakeHub({COMMIT: tiny_llama_in_two_shards()}, {"main": COMMIT})) as fake:
        yield fake


@pytest.mark.slow
def test_an_interrupted_run_stops_at_once_and_goes_on_with_what_has_come(hub, tmp_path):
    def run(out, **environment):
        command = [
            "run",
            "org/name",
            "--to",
            "gguf:q8_0",
            "--no-gate",
            "--out",
            str(tmp_path / out),
        ]
        given = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), **environment}
        return subprocess.Popen(
            [sys.executable, "-m", "convert", *command], cwd=ROOT, env={**os.environ, **given}
        )

    hub.bodies[SECOND] = Body(held=1000)
    interrupted = run("out")
    assert hub.bodies[SECOND].is_held.wait(PATIENCE)
    interrupted.send_signal(signal.SIGINT)
    # Far less than the hub's library spends on a connection that is silent.
    assert interrupted.wait(25.0) == 130
    assert not (tmp_path / "out" / "gguf-q8_0").exists()

    hub.bodies.clear()
    hub.asked.clear()
    assert run("out").wait(PATIENCE) == 0
    assert hub.asked_for(FIRST) == []
    resumed = {path.name: path.read_bytes() for path in (tmp_path / "out/gguf-q8_0").iterdir()}

    hub.asked.clear()
    assert run("offline", HF_HUB_OFFLINE="1").wait(PATIENCE) == 0
    assert hub.asked == []
    offline = {path.name: path.read_bytes() for path in (tmp_path / "offline/gguf-q8_0").iterdir()}
    assert resumed == offline
