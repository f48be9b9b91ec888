"""Deployment 4b on a real model: the shipped texts, cut to 16 tokens, 50 new ones, by batches."""

from __future__ import annotations

import io

import pytest

from convert.datasets import read_data_set
from convert.generating import Generation, generate
from convert.pipeline import RunRequest, run
from convert.progress import Reporter
from convert.recipe import Artifact, Recipe
from tests.support.runs import ROOT

SMOLLM2 = ROOT / "models" / "smollm2"
TEXTS, PROMPT_TOKENS, NEW_TOKENS = 8, 16, 50

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SMOLLM2.is_dir(), reason="needs `make models`"),
]


def test_texts_are_continued_with_the_tokens_of_transformers(tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    recipe = Recipe(
        name="smollm2",
        model=str(SMOLLM2),
        artifacts=(Artifact(format="onnx", encoding="f32"),),
    )
    request = RunRequest(recipe, tmp_path, threads=2, gate=False)
    (artifact,) = run(request, Reporter(io.StringIO()))
    texts = read_data_set("news", "content", TEXTS)
    model = AutoModelForCausalLM.from_pretrained(SMOLLM2, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(SMOLLM2)
    expected = []
    for text in texts:
        ids = tokenizer(text.content, return_tensors="pt")["input_ids"][:, :PROMPT_TOKENS]
        mask = torch.ones_like(ids)
        whole = model.generate(ids, attention_mask=mask, max_new_tokens=NEW_TOKENS, do_sample=False)
        added = whole[0, ids.shape[1] :].tolist()
        expected.append(added[:-1] if added[-1] == tokenizer.eos_token_id else added)
    for batch in (1, 8):
        asked = Generation(texts, PROMPT_TOKENS, NEW_TOKENS, batch)
        records = generate(artifact, asked, threads=2)
        assert [record["new_ids"] for record in records] == expected
