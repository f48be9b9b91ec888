"""The table of imported architectures: what it is made of, and a sample of it made again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bench.architectures import kept
from bench.architectures.children import Limits, trials
from bench.architectures.findings import IMPORT, OPENVINO, TRIAL, Finding
from bench.architectures.originals import Original
from bench.architectures.page import failures, page, summary
from bench.architectures.parity import largest_difference, mean_kl
from bench.architectures.reasons import reason_of
from bench.architectures.small_configs import Shrinking, merged
from bench.architectures.tried import tried_types
from convert.errors import UnsupportedError
from convert.importing.tried import tried_types as packaged_types

FINDINGS = [
    Finding("one", "OneForCausalLM", True, True, [2, 2], [4, 4], 1e-6, 2e-6, 1e-3),
    Finding(
        "two", "TwoForCausalLM", False, True, [0, 2], [0, 0], 1e-6, 1.0, None, {OPENVINO: "a|b"}
    ),
    Finding("three", "ThreeForCausalLM", reasons={IMPORT: "has an encoder"}),
]


def test_the_page_has_a_row_for_each_type():
    made = page(FINDINGS, {"transformers": "5.0", "torch": "2"})
    assert "| `one` (fast path) | yes | 1e-06 | 2e-06 | 2/2 | 4/4 | 1.0e-03 |  |" in made
    assert "| `two` | yes | 1e-06 | **1e+00** | 0/2 | - |  | a\\|b |" in made
    assert "| `three` | no |  |  | - | - |  | has an encoder |" in made
    assert "transformers\n5.0" in made and "with torch 2." in made


def test_the_summary_counts():
    assert summary(FINDINGS) == (
        "Of 3 types, 2 are imported, 2 have parity in onnxruntime and 1 in OpenVINO. "
        "Of 2 imported ones with attention, 1 (50%) are compiled with all attention and all "
        "rotations fused."
    )
    assert "(0%)" in summary([])


def test_failures_are_named():
    assert "- three: import: has an encoder" in failures(FINDINGS)
    assert "- two: attention 0/2, RoPE -" in failures(FINDINGS)


def test_the_package_is_told_what_is_refused_and_what_a_target_lacks():
    one, two, three = tried_types(FINDINGS, {"transformers": "5.0"}).types
    assert one.refused is None and not one.lacking
    assert two.refused is None and two.lacking == {"openvino": "a|b"}
    assert three.refused == "has an encoder"


def test_findings_are_kept_for_the_same_packages_only(tmp_path, monkeypatch):
    file = tmp_path / "kept.json"
    assert kept.read(file) == {}
    kept.write(file, {each.kind: each for each in FINDINGS})
    assert kept.read(file) == {each.kind: each for each in FINDINGS}
    monkeypatch.setattr(kept, "versions", lambda: {"transformers": "4"})
    assert kept.read(file) == {}


def _trial(kind, folder, note):
    finding = Finding(kind, imported=True)
    note(finding)
    if kind == "slow":
        time.sleep(60)
    if kind == "dead":
        os.kill(os.getpid(), signal.SIGTERM)
    if kind == "large":
        held = np.ones(1 << 25)
        time.sleep(60 + held[0])
    finding.openvino = 1e-6
    note(finding)


def test_one_bad_type_does_not_end_the_others():
    limits = Limits(seconds=50, nbytes=200 << 20)
    found = {each.kind: each for each in trials(["dead", "large", "good"], 3, _trial, limits)}
    (slow,) = trials(["slow"], 1, _trial, Limits(seconds=1))
    assert all(each.imported for each in found.values())
    assert found["good"].openvino == 1e-6 and not found["good"].reasons
    assert found["dead"].reasons == {TRIAL: "the trial ended with signal SIGTERM"}
    assert found["large"].reasons == {TRIAL: "the trial took more than 209,715,200 bytes of memory"}
    assert slow.reasons == {TRIAL: "the trial took more than 1 s"}


def test_reasons_are_one_short_line():
    assert reason_of(UnsupportedError("it\ncannot", found="that  one")) == "it cannot: that one"
    assert reason_of(ValueError("x" * 999)) == f"ValueError: {'x' * 225}..."


def test_a_config_keeps_a_layer_of_each_kind():
    values = {
        "num_hidden_layers": 6,
        "hidden_size": 4096,
        "layer_types": ["sliding", "sliding", "full"] * 2,
        "num_attention_heads": 1,
        "scale": 0.5,
        "tied": True,
        "image_token_id": 9999,
        "eos_token_id": [1, 9998],
        "max_position_embeddings": 4096,
        "text_config": {"n_layer": 40, "sliding_window": None, "moe_intermediate_size": 512},
    }
    assert Shrinking().shrunk(values) == {
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "layer_types": ["sliding", "full"],
        "num_attention_heads": 1,
        "scale": 0.5,
        "tied": True,
        "image_token_id": 127,
        "eos_token_id": [1, 126],
        "max_position_embeddings": 256,
        "text_config": {"n_layer": 2, "sliding_window": None, "moe_intermediate_size": 48},
    }


def test_overrides_reach_into_parts_of_a_config():
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}, "d": ...}) == {
        "a": {"b": 9, "c": 2}
    }


def test_every_way_of_running_is_compared():
    table = np.random.default_rng(0).normal(size=(16, 5)).astype(np.float32)
    ids = np.arange(22).reshape(2, 11) % 16
    padded = ids.copy()
    padded[0, :4] = 0
    original = Original("Some", ids, table[ids], padded, 4, table[ids[0, 4:]], False)
    seen = []

    def feed(some, mask, positions):
        seen.append((some.shape[1], mask.shape[1]))
        return table[some] + (0.5 * original.sigma if mask.shape[1] == 11 != some.shape[1] else 0)

    assert largest_difference(original, lambda: seen.append(None), feed) == pytest.approx(0.5)
    assert seen[:6] == [None, (11, 11), None, (4, 4), (5, 9), (1, 10)]
    assert mean_kl(original, lambda: None, feed) == pytest.approx(0.0, abs=1e-12)


SAMPLE = ("bart", "gemma2", "gpt2", "gpt_neox", "mamba", "phi3", "qwen2", "starcoder2")


@pytest.mark.slow
def test_a_sample_made_again_is_as_it_is_kept(tmp_path):
    file = tmp_path / "findings.json"
    subprocess.run(
        [sys.executable, "-m", "bench.architectures", *SAMPLE, "--resume", str(file)], check=True
    )
    found = kept.read(file)
    assert sorted(found) == sorted(SAMPLE)
    shown = {each.kind: each for each in tried_types(list(found.values()), kept.versions()).types}
    packaged = {each.kind: each for each in packaged_types().types}
    for kind in SAMPLE:
        assert (shown[kind].refused is None) == (packaged[kind].refused is None), shown[kind]
        assert shown[kind].lacking.keys() == packaged[kind].lacking.keys(), shown[kind]
