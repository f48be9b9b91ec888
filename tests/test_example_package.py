"""The example of docs/extending.md: installed as its users would, and used by the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import NonFiniteWeightError, UnsupportedEncodingError
from convert.manifest import read_manifest
from tests.support.runs import PROMPTS, ROOT, TINY_LLAMA

EXAMPLE = ROOT / "docs" / "examples" / "tricast-example"


@pytest.fixture
def encoding(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from tricast_example.encoding import PowerOfTwo

    return PowerOfTwo()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 40))
def test_the_encoding_is_off_by_half_a_step_at_most(seed, rows, columns):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLE))
        from tricast_example.encoding import PowerOfTwo
    one, random = PowerOfTwo(), np.random.default_rng(seed)
    scale = np.exp2(random.integers(-20, 10, (rows, 1)))
    values = (random.standard_normal((rows, columns)) * scale).astype(np.float32)
    planes = one.encode(values)
    assert [plane.size for plane in planes] == [kind.nbytes(rows) for kind in one.planes(columns)]
    steps = planes[1].view(np.float16).astype(np.float32)[:, None]
    assert (np.abs(one.decode(planes, rows, columns) - values) <= steps / 2).all()
    assert (np.log2(steps) % 1 == 0).all()


def test_the_encoding_refuses_what_it_cannot_hold(encoding):
    for value, error in ((np.nan, NonFiniteWeightError), (1e30, UnsupportedEncodingError)):
        with pytest.raises(error):
            encoding.encode(np.array([[value]], np.float32))
    assert not encoding.decode(encoding.encode(np.zeros((2, 3), np.float32)), 2, 3).any()


def installed(folder):
    """Install the package into a folder; the environment of programs that may use it."""
    source = shutil.copytree(EXAMPLE, folder / "source")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(folder / "site"), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": f"{folder / 'site'}:{ROOT}", "HF_HUB_OFFLINE": "1"}


def convert(environment, *arguments):
    command = [sys.executable, "-m", "convert", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_it_is_installed_and_used(tmp_path):
    environment = installed(tmp_path)
    model = shutil.copytree(TINY_LLAMA, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    config["depth"] = config.pop("num_hidden_layers")
    config |= {"architectures": ["ExampleForCausalLM"], "model_type": "example"}
    (model / "config.json").write_text(json.dumps(config))

    listed = {what: convert(environment, "list", what).stdout for what in KINDS}
    assert all(name in listed[what] for what, name in KINDS.items())
    assert convert(environment, "lint-recipe", EXAMPLE / "recipe.yaml").returncode == 0

    out = tmp_path / "out"
    options = ["--prompts", PROMPTS, "--out", out, "--threads", 2]
    ended = convert(environment, "run", model, "--recipe", EXAMPLE / "recipe.yaml", *options)
    assert ended.returncode == 0, ended.stderr
    artifact = out / "ort_kit-int8_p2"
    manifest = read_manifest(artifact)
    assert manifest.gate.status == "passed"
    assert {"int8_p2"} <= {tensor.encoding for tensor in manifest.tensors}
    assert manifest.versions["tricast-example"] == "0.1.0"
    assert b"made_with" in (artifact / "model.onnx").read_bytes()
    assert (artifact / "open.py").is_file()
    assert convert(environment, "verify", artifact).returncode == 0

    plain = {**environment, "PYTHONPATH": str(ROOT)}
    ended = convert(plain, "run", model, "--to", "ort_kit", "--out", out)
    assert ended.returncode == 2
    assert "there is no target 'ort_kit'" in ended.stderr


KINDS = {
    "targets": "ort_kit",
    "encodings": "int8_p2",
    "passes": "stamp",
    "architectures": "ExampleForCausalLM",
}
