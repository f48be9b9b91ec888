"""The packaged SmolLM2, imported by `make models`: token ids and answers."""

# ruff: noqa: RUF001
from __future__ import annotations

import pytest

from bench.fetch_models import GGUF_NAME, MODELS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (MODELS / "smollm2").is_dir(), reason="needs `make models`"),
]

TEXT = (
    "The capital of France is Paris, it's 1984 & we'll see 3.14159…\n\n\tdef f(x):\n"
    "    return x ** 2  # été\r\n你好，世界！ Привет ١٢٣ ½ हिन्दी 👩‍👩‍👧‍👦 🇫🇷  a\u00a0b\u200b   \n"
    "<|im_start|>user\nHi<|im_end|>"
)


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(MODELS / "smollm2")


def test_known_ids(tokenizer):
    assert tokenizer.encode("The capital of France is") == [504, 3575, 282, 4649, 314]


def test_ids_are_those_of_llama_cpp(tokenizer):
    llama_cpp = pytest.importorskip("llama_cpp")
    reference = llama_cpp.Llama(str(MODELS / GGUF_NAME), vocab_only=True, verbose=False)
    for text in [TEXT, *TEXT.split("\n"), TEXT[::-1]]:
        ids = reference.tokenize(text.encode(), add_bos=False, special=True)
        assert tokenizer.encode(text) == ids


def test_transformers_answers_paris(tokenizer):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(MODELS / "smollm2")
    ids = torch.tensor([tokenizer.encode("The capital of France is")])
    answer = model.generate(ids, max_new_tokens=3, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0])
