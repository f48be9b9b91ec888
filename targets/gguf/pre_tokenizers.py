"""The pre-tokenizers that llama.cpp has by name, rebuilt to be compared with a checkpoint's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s"
)
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n%s]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|"
_CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_PUNCTUATED = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
    r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_MARKED = (
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BLOOM = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"
_DIGITS = "<digits>"
_GPT2 = "<gpt2>"


@dataclass(frozen=True)
class PreTokenizer:
    """A pre-tokenizer of llama.cpp.

    Args:
        names: Values of ``tokenizer.ggml.pre`` that select it, the usual one first.
        steps: Patterns that cut the text one after another.
        ignores_merges: Whether llama.cpp then takes a word that is a token without merging.
    """

    names: tuple[str, ...]
    steps: tuple[str, ...]
    ignores_merges: bool = False

    def build(self) -> Any:
        """The same as a `tokenizers` pre-tokenizer."""
        from tokenizers import Regex, pre_tokenizers

        last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=self.steps[-1] == _GPT2)
        cuts = [
            pre_tokenizers.Digits(individual_digits=True)
            if step == _DIGITS
            else pre_tokenizers.Split(Regex(step), "isolated")
            for step in self.steps
            if step != _GPT2
        ]
        return pre_tokenizers.Sequence([*cuts, last])


KNOWN: tuple[PreTokenizer, ...] = (
    PreTokenizer(("gpt-2",), (_GPT2,)),
    PreTokenizer(("smollm", "starcoder"), (_DIGITS, _GPT2)),
    PreTokenizer(("llama-bpe",), (_WORDS + r"\p{N}{1,3}" + _REST % "",), ignores_merges=True),
    PreTokenizer(("smaug-bpe",), (_WORDS + r"\p{N}{1,3}" + _REST % "",)),
    PreTokenizer(("qwen2",), (_WORDS + r"\p{N}" + _REST % "",)),
    PreTokenizer(("qwen35",), (_MARKED,)),
    PreTokenizer(("tekken",), (_CASED % ("", "") + r"|\p{N}" + _REST % "/",), ignores_merges=True),
    PreTokenizer(
        ("gpt-4o",),
        (_CASED % (_CONTRACTIONS + "?", _CONTRACTIONS + "?") + r"|\p{N}{1,3}" + _REST % "/",),
    ),
    PreTokenizer(("deepseek-v3",), (r"\p{N}{1,3}", _CJK, _PUNCTUATED)),
    PreTokenizer(("bloom",), (_BLOOM,)),
    PreTokenizer(
        ("deepseek-coder",),
        ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", _DIGITS),
    ),
)


def matching(actual: Any, ignores_merges: bool, texts: Sequence[str]) -> list[str]:
    """Names of llama.cpp whose pre-tokenizer cuts every text as ``actual`` does.

    Those that also treat merges as the checkpoint does come first.

    Args:
        actual: The checkpoint's pre-tokenizer, of the tokenizers package.
        ignores_merges: Whether its model takes a word that is a token without merging.
        texts: Texts that tell pre-tokenizers apart.
    """
    wanted = [actual.pre_tokenize_str(text) for text in texts]
    found: list[tuple[bool, str]] = []
    for known in KNOWN:
        built = known.build()
        if all(
            built.pre_tokenize_str(text) == cuts for text, cuts in zip(texts, wanted, strict=True)
        ):
            found += [(known.ignores_merges != ignores_merges, name) for name in known.names]
    return [name for _, name in sorted(found, key=lambda match: match[0])]
