"""Texts made of a tokenizer's own tokens, which tell how it joins and finds them."""

from __future__ import annotations

import random

from targets.gguf.tokenizer import Tokenizer

_SAMPLED_TOKENS = 1000
_SAMPLED_SPECIALS = 50


def token_texts(tokenizer: Tokenizer) -> list[str]:
    """Tokens by themselves, in threes, and in words.

    By themselves they tell whether a token is reached by merging or at once; next to each other,
    where texts are cut. Which ones is the same in every run.
    """
    size = len(tokenizer.fast)
    step = max(1, size // _SAMPLED_TOKENS)
    special = {added["id"] for added in tokenizer.added_tokens()}
    words = [tokenizer.decode(i) for i in range(0, size, step) if i not in special]
    words = [word for word in words if "\ufffd" not in word]
    drawn = random.Random(0)
    threes = ["".join(drawn.choices(words, k=3)) for _ in words]
    plain = [added["content"] for added in tokenizer.added_tokens() if not added["special"]]
    return [*words, *threes, *(f"a{text}b {text} c" for text in plain[:_SAMPLED_SPECIALS])]


def special_texts(tokenizer: Tokenizer) -> list[str]:
    """Special tokens as chat templates put them: before and behind words and lines."""
    special = [added["content"] for added in tokenizer.added_tokens() if added["special"]]
    return [f"{text}user\nHello{text}\n{text} x" for text in special[:_SAMPLED_SPECIALS]]
