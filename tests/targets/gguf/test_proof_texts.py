"""A proof's texts are made of the tokenizer's own tokens, the same in every run."""

from __future__ import annotations

from tokenizers import AddedToken

from targets.gguf.proof_texts import special_texts, token_texts
from targets.gguf.tokenizer import Tokenizer
from tests.targets.gguf.checkpoints import VOCABULARY, byte_level, save_tokenizer


def test_tokens_come_alone_and_next_to_each_other(tmp_path):
    tokenizer = byte_level("gpt2", VOCABULARY - 10)
    tokenizer.add_tokens([AddedToken("<tool>")])
    save_tokenizer(tokenizer, tmp_path)
    loaded = Tokenizer.load(tmp_path)
    texts = token_texts(loaded)
    assert {"a", "a<tool>b <tool> c"} <= set(texts)
    assert any(len(loaded.encode(text)) == 3 for text in texts)
    assert texts == token_texts(loaded)
    assert not any("\ufffd" in text for text in texts)
    assert special_texts(loaded)[0].count("<|endoftext|>") == 3
