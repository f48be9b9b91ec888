"""An imported model converted whole: gated in llama.cpp, its stored weights compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import convert
from tests.support.imported import original
from tests.targets.gguf.imported.models import config_of

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
