"""The pre-tokenizers that llama.cpp has by name, rebuilt to be compared with a checkpoint's.

The patterns are those of ``llm_tokenizer_bpe`` in llama.cpp's llama-vocab.cpp, or those of the
published tokenizers that it says it stands for where it writes them otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s"
)
_CASED_AS_RUN = (
    r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+%s"
    r"|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*%s"
)
_CONTRACTED = (f"{_CONTRACTIONS}?", f"{_CONTRACTIONS}?")
_SPACES = r"|\s+(?!\S)|\s+"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n%s]*|\s*[\r\n]+" + _SPACES
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+|"
_WORDS = f"{_CONTRACTIONS}|{_WORD}"
_CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_EAST_ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_PUNCTUATED = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
    r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"
)
_MARKED = (
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+" + _SPACES
)
_PHRASES = (
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]" + _SPACES
)
_BLOOM = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"
_DIGIT = r"\p{N}"
_UP_TO_THREE = r"\p{N}{1,3}"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+" + _SPACES
_HALVING_SPACES = "".join(
    rf"|\s{{{count}}}(?!\S)" for count in ("512", "256", "128", "64", "32", "16", "8", "4", "1,2")
)
_CASED_LETTERS = (
    "A-Za-z\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370"
    "-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-"
    "\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd"
    "\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18"
    "-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-"
    "\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-"
    "\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124"
    "\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183"
    "\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b"
    "\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21"
    "-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb"
    "\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
)


@dataclass(frozen=True)
class PreTokenizer:
    """A pre-tokenizer of llama.cpp.

    Args:
        names: Values of ``tokenizer.ggml.pre`` that select it, the usual one first.
        steps: Patterns that cut the text one after another.
        ignores_merges: Whether llama.cpp then takes a word that is a token without merging.
        run_as: The patterns that llama.cpp cuts by in their place, where it only comes near.
    """

    names: tuple[str, ...]
    steps: tuple[str, ...]
    ignores_merges: bool = False
    run_as: tuple[str, ...] = ()

    def build(self) -> Any:
        """The same as a `tokenizers` pre-tokenizer."""
        return _cutting(self.steps)

    def build_as_run(self) -> Any:
        """What llama.cpp does, as a `tokenizers` pre-tokenizer."""
        return _cutting(self.run_as or self.steps)


def _cutting(steps: Sequence[str]) -> Any:
    from tokenizers import Regex, pre_tokenizers

    cuts = [pre_tokenizers.Split(Regex(step), "isolated") for step in steps]
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([*cuts, last])


KNOWN: tuple[PreTokenizer, ...] = (
    PreTokenizer(("gpt-2",), (_GPT2,)),
    PreTokenizer(("smollm", "starcoder"), (_DIGIT, _GPT2)),
    PreTokenizer(("llama-bpe",), (_WORDS + _UP_TO_THREE + _REST % "",), ignores_merges=True),
    PreTokenizer(("smaug-bpe",), (_WORDS + _UP_TO_THREE + _REST % "",)),
    PreTokenizer(("qwen2",), (_WORDS + _DIGIT + _REST % "",)),
    PreTokenizer(("qwen35",), (_MARKED,)),
    PreTokenizer(
        ("tekken",),
        (_CASED % ("", "") + r"|\p{N}" + _REST % "/",),
        ignores_merges=True,
        run_as=(_CASED_AS_RUN % ("", "") + r"|\p{N}" + _REST % "/",),
    ),
    PreTokenizer(
        ("gpt-4o",),
        (_CASED % _CONTRACTED + r"|\p{N}{1,3}" + _REST % "/",),
        run_as=(_CASED_AS_RUN % _CONTRACTED + r"|\p{N}{1,3}" + _REST % "/",),
    ),
    PreTokenizer(
        ("deepseek-v3",),
        (_UP_TO_THREE, _CJK, _PUNCTUATED + r"[\r\n]*|\s*[\r\n]+" + _SPACES),
    ),
    PreTokenizer(("bloom",), (_BLOOM,)),
    PreTokenizer(("viking",), (_BLOOM, _DIGIT)),
    PreTokenizer(("deepseek-coder",), ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _EAST_ASIAN, _DIGIT)),
    PreTokenizer(
        ("deepseek-llm",),
        (
            *("[\r\n]", rf"\s?[{_CASED_LETTERS}]+"),
            *(r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", r"\s+$"),
            *(_EAST_ASIAN, _DIGIT),
        ),
    ),
    PreTokenizer(("falcon",), (r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]")),
    PreTokenizer(("default",), (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
    PreTokenizer(
        ("seed-coder",),
        (_WORDS + r"\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+" + _SPACES,),
    ),
    PreTokenizer(("superbpe",), (r"\p{N}+", r"(?=(\d{3})+(?!\d))")),
    PreTokenizer(
        ("minicpm5",), (_UP_TO_THREE, _WORDS + r"\p{N}+" + _REST % ""), ignores_merges=True
    ),
    PreTokenizer(
        ("jais-2",),
        (
            _WORDS + _UP_TO_THREE + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
            rf"{_HALVING_SPACES}|\s",
        ),
    ),
    PreTokenizer(("exaone-moe",), (_PHRASES,)),
    PreTokenizer(("ufakzeka",), (_WORD + _DIGIT + _REST % "",)),
    PreTokenizer(("laguna",), (r"[^\n]+|[\n]+", _WORDS + _DIGIT + _REST % "")),
    PreTokenizer(
        ("chameleon",),
        (
            *("<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"),
            *(r"([\t\n]|    |  )", _DIGIT, r"[\p{P}!-/:-@\[-`{-~]", _GPT2),
        ),
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
    ranked = _ranked(actual, ignores_merges, texts)
    return [name for differing, _, name in ranked if not differing]


def nearest(actual: Any, ignores_merges: bool, texts: Sequence[str], count: int) -> list[str]:
    """As `matching`, but those that cut the fewest texts otherwise, whatever they do to those."""
    return [name for _, _, name in _ranked(actual, ignores_merges, texts)[:count]]


def _ranked(actual: Any, ignores_merges: bool, texts: Sequence[str]) -> list[tuple[int, bool, str]]:
    """How many texts each name cuts otherwise, whether it treats merges otherwise, the name."""
    wanted = [actual.pre_tokenize_str(text) for text in texts]
    found: list[tuple[int, bool, str]] = []
    for known in KNOWN:
        built = known.build()
        cuts = [built.pre_tokenize_str(text) for text in texts]
        differing = sum(cut != right for cut, right in zip(cuts, wanted, strict=True))
        found += [(differing, known.ignores_merges != ignores_merges, each) for each in known.names]
    return sorted(found, key=lambda each: each[:2])
