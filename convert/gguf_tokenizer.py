"""The fast tokenizer that the metadata of a GGUF describes, rebuilt and written as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.errors import BadHeaderError, UnsupportedTokenizerError
from convert.sources.gguf_file import GgufFile

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Token types of llama.cpp: https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED = 1, 2, 3, 4, 5

_GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def _contraction_words(digits: str) -> str:
    """The word pattern of the GPT-4 kind; ``digits`` says how numbers are cut."""
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


@dataclass(frozen=True)
class _Splitting:
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


_DIGITS_THEN_WORDS = _Splitting((r"\p{N}", _GPT2_WORDS))
_LLAMA3 = _Splitting((_contraction_words(r"\p{N}{1,3}"),), whole_words=True, adds_bos=True)
_QWEN2 = _Splitting((_contraction_words(r"\p{N}"),), compose=True)

# What `tokenizer.ggml.pre` names. Names of other tokenizers with the same structure may be added
# with a test that compares ids with llama.cpp.
_SPLITTINGS: dict[str, _Splitting] = {
    "gpt-2": _Splitting((_GPT2_WORDS,)),
    "smollm": _DIGITS_THEN_WORDS,
    "starcoder": _DIGITS_THEN_WORDS,
    "refact": _DIGITS_THEN_WORDS,
    "command-r": _DIGITS_THEN_WORDS,
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "default": _Splitting((r"[\p{P}\$\+<=>\^~\|]+", _GPT2_WORDS, r"\p{N}+", r"[0-9][0-9][0-9]")),
}


@dataclass(frozen=True)
class _Vocabulary:
    """Tokens by id with their types, scores and merges, checked for length."""

    tokens: list[str]
    types: list[int]
    scores: list[float]
    merges: list[tuple[str, str]]

    @property
    def ids(self) -> dict[str, int]:
        """Ids by token, without the placeholders that fill up an embedding matrix."""
        return {
            token: number
            for number, (token, kind) in enumerate(zip(self.tokens, self.types, strict=True))
            if not (kind == _UNUSED and token == f"[PAD{number}]")
        }


def write_tokenizer(gguf: GgufFile, config: Mapping[str, Any], folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json into ``folder``.

    Raises:
        UnsupportedTokenizerError: The kind of tokenizer or its pre-tokenizer is unknown.
        BadHeaderError: The vocabulary contradicts itself.
    """
    metadata = gguf.metadata
    vocabulary = _vocabulary(gguf, config["vocab_size"])
    model = metadata.get("tokenizer.ggml.model")
    if model == "gpt2":
        splitting = _splitting(gguf)
        tokenizer = _byte_level(vocabulary, splitting)
        adds_bos = bool(metadata.get("tokenizer.ggml.add_bos_token", splitting.adds_bos))
    elif model == "llama":
        prefix = bool(metadata.get("tokenizer.ggml.add_space_prefix", True))
        tokenizer = _sentencepiece(vocabulary, prefix)
        adds_bos = bool(metadata.get("tokenizer.ggml.add_bos_token", True))
    else:
        raise UnsupportedTokenizerError(
            f"{gguf.path} has a tokenizer of kind {model!r}",
            expected="gpt2 (byte-level BPE) or llama (SentencePiece BPE)",
            remedy="convert from the original Hugging Face checkpoint",
        )
    special = _special_tokens(gguf, vocabulary)
    _add_tokens(tokenizer, vocabulary)
    adds_eos = bool(metadata.get("tokenizer.ggml.add_eos_token", False))
    _add_ends(gguf, tokenizer, special, adds_bos, adds_eos)
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer_config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": config["max_position_embeddings"],
        **special,
    }
    template = metadata.get("tokenizer.chat_template")
    if template is not None:
        tokenizer_config["chat_template"] = template
    text = json.dumps(tokenizer_config, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


def _vocabulary(gguf: GgufFile, size: int) -> _Vocabulary:
    metadata = gguf.metadata
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens:
        raise UnsupportedTokenizerError(
            f"{gguf.path} carries no tokenizer",
            remedy="take a GGUF with its vocabulary, or the original checkpoint",
        )
    types = [int(kind) for kind in metadata.get("tokenizer.ggml.token_type", [])]
    scores = [float(score) for score in metadata.get("tokenizer.ggml.scores", [])]
    types = types or [_NORMAL] * len(tokens)
    scores = scores or [0.0] * len(tokens)
    merges = [merge.partition(" ")[::2] for merge in metadata.get("tokenizer.ggml.merges", [])]
    vocabulary = _Vocabulary(tokens, types, scores, merges)
    problem = _problem(vocabulary, size)
    if problem:
        raise BadHeaderError(
            f"{gguf.path}: the vocabulary contradicts itself",
            found=problem,
            remedy="download or write the file again",
        )
    return vocabulary


def _problem(vocabulary: _Vocabulary, size: int) -> str | None:
    count = len(vocabulary.tokens)
    if count != size:
        return f"{count} tokens, but the embedding has {size} rows"
    if len(vocabulary.types) != count or len(vocabulary.scores) != count:
        lengths = f"{len(vocabulary.types)} types and {len(vocabulary.scores)} scores"
        return f"{count} tokens, but {lengths}"
    if len(set(vocabulary.tokens)) != count:
        return "a token that occurs twice"
    ids = vocabulary.ids
    for merge in vocabulary.merges:
        if not {*merge, "".join(merge)} <= ids.keys():
            return f"the merge {' '.join(merge)!r} of tokens that are not in the vocabulary"
    return None


def _splitting(gguf: GgufFile) -> _Splitting:
    name = gguf.metadata.get("tokenizer.ggml.pre", "default")
    if name not in _SPLITTINGS:
        raise UnsupportedTokenizerError(
            f"{gguf.path} has a tokenizer with the unknown pre-tokenizer {name!r}",
            expected=f"one of {', '.join(sorted(_SPLITTINGS))}",
            remedy="convert from the original Hugging Face checkpoint",
        )
    return _SPLITTINGS[name]


def _byte_level(vocabulary: _Vocabulary, splitting: _Splitting) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary.ids, merges=vocabulary.merges, ignore_merges=splitting.whole_words
        )
    )
    if splitting.compose:
        tokenizer.normalizer = normalizers.NFC()
    *first, last = splitting.patterns
    steps = [_cut(pattern) for pattern in first]
    if last == _GPT2_WORDS:
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True))
    else:
        steps.append(pre_tokenizers.Split(Regex(last), "isolated"))
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    tokenizer.pre_tokenizer = steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _cut(pattern: str) -> Any:
    from tokenizers import Regex, pre_tokenizers

    if pattern == r"\p{N}":
        return pre_tokenizers.Digits(individual_digits=True)
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def _sentencepiece(vocabulary: _Vocabulary, space_prefix: bool) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    unknown = [
        token
        for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True)
        if kind == _UNKNOWN
    ]
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary.ids,
            merges=_merges_from_scores(vocabulary),
            unk_token=unknown[0] if unknown else None,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    marks = normalizers.Replace(" ", "▁")
    plain = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if space_prefix:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), marks])
        plain.append(decoders.Strip(content=" ", left=1, right=0))
    else:
        tokenizer.normalizer = marks
    tokenizer.decoder = decoders.Sequence(plain)
    return tokenizer


def _merges_from_scores(vocabulary: _Vocabulary) -> list[tuple[str, str]]:
    """SentencePiece joins the neighbours whose union scores best: all joins, best first."""
    ids = {
        token: number
        for token, number in vocabulary.ids.items()
        if vocabulary.types[number] == _NORMAL
    }
    merges = []
    for token, number in ids.items():
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in ids and right in ids:
                rank = (-vocabulary.scores[number], ids[left], ids[right])
                merges.append((rank, (left, right)))
    return [pair for _, pair in sorted(merges)]


def _special_tokens(gguf: GgufFile, vocabulary: _Vocabulary) -> dict[str, str]:
    special = {}
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    for name, key in names.items():
        number = gguf.metadata.get(f"tokenizer.ggml.{key}_token_id")
        if number is None:
            continue
        if not 0 <= number < len(vocabulary.tokens):
            raise BadHeaderError(
                f"{gguf.path}: metadata key tokenizer.ggml.{key}_token_id is no token",
                expected=f"an id below {len(vocabulary.tokens)}",
                found=str(number),
                remedy="download or write the file again",
            )
        special[f"{name}_token"] = vocabulary.tokens[number]
    return special


def _add_tokens(tokenizer: Tokenizer, vocabulary: _Vocabulary) -> None:
    from tokenizers import AddedToken

    for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True):
        if kind in (_CONTROL, _UNKNOWN):
            tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)])
        elif kind == _USER_DEFINED:
            tokenizer.add_tokens([AddedToken(token, special=False, normalized=False)])


def _add_ends(
    gguf: GgufFile, tokenizer: Tokenizer, special: Mapping[str, str], bos: bool, eos: bool
) -> None:
    from tokenizers import processors

    wanted = {"bos_token": bos, "eos_token": eos}
    asked = [name for name, is_asked in wanted.items() if is_asked]
    ends = {name: special[name] for name in asked if name in special}
    if len(ends) < len(asked):
        raise BadHeaderError(
            f"{gguf.path}: the tokenizer adds a token that the file does not name",
            expected=" and ".join(asked),
            remedy="download or write the file again",
        )
    if not ends:
        return
    before = [f"{special['bos_token']}:0"] if bos else []
    after = [f"{special['eos_token']}:0"] if eos else []
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[*before, "$A:0", *after],
        pair=[*before, "$A:0", *after, *(f"{part[:-1]}1" for part in before), "$B:1"]
        + [f"{part[:-1]}1" for part in after],
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ends.values()],
    )
