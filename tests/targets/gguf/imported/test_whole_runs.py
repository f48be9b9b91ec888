"""An imported model converted whole: gated in llama.cpp, its stored weights compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import convert
from tests.support.imported import original
from tests.targets.gguf.imported.models import config_of
from tests.targets.gguf.imported.upcycled import upcycle

TINY = Path(__file__).resolve().parents[4] / "golden" / "models" / "tiny-llama"


@pytest.mark.slow
def test_a_granite_passes_its_gate(tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "head_dim": 16, "num_attention_heads": 4}
    raw = config_of("granite", vocab_size=1280, intermediate_size=96, **sizes)
    original(raw).save_pretrained(tmp_path / "in")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / name, tmp_path / "in" / name)
    result = convert.run(
        tmp_path / "in", to="gguf:q8_0", out=tmp_path / "out", prompts=TINY / "prompts.txt"
    )["gguf-q8_0"]
    assert result.gate.passed
    stored = {each.name: each.encoding for each in result.manifest.tensors}
    assert stored["model.layers.1.mlp.down_proj.weight"] == "q8_0"
    assert stored["lm_head.weight"] == "q8_0"


@pytest.mark.slow
def test_a_mixture_of_experts_passes_its_gate_and_says_what_its_experts_saw(tmp_path: Path) -> None:
    plain = {"embedding_multiplier": 1.0, "logits_scaling": 1.0, "residual_multiplier": 1.0}
    upcycle("granitemoe", tmp_path / "in", **plain, attention_multiplier=32**-0.5)
    made = convert.run(
        tmp_path / "in",
        to=["gguf:q8_0", "gguf:q4_k_m"],
        out=tmp_path / "out",
        prompts=TINY / "prompts.txt",
    )
    assert made["gguf-q8_0"].gate.passed
    coarse = made["gguf-q4_k_m"]
    # Of the original with the same stored weights, experts included, rounding in between is left.
    assert coarse.gate.faithful is not None
    assert coarse.gate.faithful.mean_kld < 1e-3
    weighting = coarse.manifest.weighting
    assert weighting is not None
    assert weighting.experts is not None
    assert (weighting.experts.experts, weighting.experts.threshold) == (30, 8)
    page = (tmp_path / "out" / "gguf-q4_k_m.report.html").read_text()
    assert (weighting.experts.line() or "Each of 30 experts") in page
