"""How byte-level BPE tokenizers cut text into words, by the names that GGUF files give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convert.errors import UnsupportedTokenizerError
from convert.sources.gguf_file import GgufFile

_ANY_DIGIT = r"\p{N}"
_GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# Full stops and commas of Chinese, Hindi, Urdu and Arabic are among those that end a word.
_BLOOM_WORDS = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"


def _contraction_words(digits: str) -> str:
    """The word pattern of the GPT-4 kind; ``digits`` says how numbers are cut."""
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


@dataclass(frozen=True)
class WordSplitting:
    """How text is cut into words before byte-pair merging.

    Args:
        patterns: Each cuts the pieces that the one before it left; matches stand alone.
        whole_words: A word that is in the vocabulary is one token, whatever the merges say.
        adds_bos: Whether a text begins with BOS where the file does not say.
        compose: Whether text is brought to Unicode NFC first.
    """

    patterns: tuple[str, ...]
    whole_words: bool = False
    adds_bos: bool = False
    compose: bool = False

    def pre_tokenizer(self) -> Any:
        """The ``tokenizers`` object that does it, bytes written as printable characters."""
        from tokenizers import Regex, pre_tokenizers

        *first, last = self.patterns
        steps: list[Any] = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in first]
        if self.patterns[0] == _ANY_DIGIT:
            steps[0] = pre_tokenizers.Digits(individual_digits=True)
        if last == _GPT2_WORDS:
            steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True))
        else:
            steps.append(pre_tokenizers.Split(Regex(last), "isolated"))
            steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
        return steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(steps)


_DIGITS_THEN_WORDS = WordSplitting((_ANY_DIGIT, _GPT2_WORDS))
_LLAMA3 = WordSplitting((_contraction_words(r"\p{N}{1,3}"),), whole_words=True, adds_bos=True)
_QWEN2 = WordSplitting((_contraction_words(_ANY_DIGIT),), compose=True)

# What `tokenizer.ggml.pre` names. Names of other tokenizers with the same structure may be added
# with a test that compares ids with llama.cpp.
_SPLITTINGS: dict[str, WordSplitting] = {
    "bloom": WordSplitting((_BLOOM_WORDS,)),
    "gpt-2": WordSplitting((_GPT2_WORDS,)),
    "smollm": _DIGITS_THEN_WORDS,
    "starcoder": _DIGITS_THEN_WORDS,
    "refact": _DIGITS_THEN_WORDS,
    "command-r": _DIGITS_THEN_WORDS,
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "default": WordSplitting((r"[\p{P}\$\+<=>\^~\|]+", _GPT2_WORDS, r"\p{N}+", r"[0-9][0-9][0-9]")),
}


def word_splitting(gguf: GgufFile) -> WordSplitting:
    """What ``tokenizer.ggml.pre`` of the file names.

    Raises:
        UnsupportedTokenizerError: The name is unknown.
    """
    name = gguf.value("tokenizer.ggml.pre", str, "default")
    if name is None or name not in _SPLITTINGS:
        raise UnsupportedTokenizerError(
            f"{gguf.path} has a tokenizer with the unknown pre-tokenizer {name!r}",
            expected=f"one of {', '.join(sorted(_SPLITTINGS))}",
            remedy="convert from the original Hugging Face checkpoint",
        )
    return _SPLITTINGS[name]
