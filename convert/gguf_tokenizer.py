"""The fast tokenizer that the metadata of a GGUF describes, rebuilt and written as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.errors import BadHeaderError, UnsupportedTokenizerError
from convert.gguf_vocabulary import (
    CONTROL,
    UNKNOWN,
    USER_DEFINED,
    Vocabulary,
    read_vocabulary,
    special_tokens,
)
from convert.gguf_words import WordSplitting, word_splitting
from convert.sources.gguf_file import GgufFile

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def write_tokenizer(gguf: GgufFile, folder: Path, *, vocab: int, max_positions: int) -> None:
    """Write tokenizer.json and tokenizer_config.json into ``folder``.

    Args:
        gguf: The file.
        folder: Of the checkpoint.
        vocab: Rows of the embedding.
        max_positions: Tokens that the model was trained on at once.

    Raises:
        UnsupportedTokenizerError: The kind of tokenizer or its pre-tokenizer is unknown.
        BadHeaderError: The vocabulary contradicts itself.
    """
    vocabulary = read_vocabulary(gguf, vocab)
    model = gguf.value("tokenizer.ggml.model", str)
    if model == "gpt2":
        splitting = word_splitting(gguf)
        tokenizer = _byte_level(vocabulary, splitting)
        adds_bos = bool(gguf.value("tokenizer.ggml.add_bos_token", bool, splitting.adds_bos))
    elif model == "llama":
        prefix = bool(gguf.value("tokenizer.ggml.add_space_prefix", bool, True))
        tokenizer = _sentencepiece(vocabulary, prefix)
        adds_bos = bool(gguf.value("tokenizer.ggml.add_bos_token", bool, True))
    else:
        raise UnsupportedTokenizerError(
            f"{gguf.path} has a tokenizer of kind {model!r}",
            expected="gpt2 (byte-level BPE) or llama (SentencePiece BPE)",
            remedy="convert from the original Hugging Face checkpoint",
        )
    special = special_tokens(gguf, vocabulary)
    _add_tokens(tokenizer, vocabulary)
    adds_eos = bool(gguf.value("tokenizer.ggml.add_eos_token", bool, False))
    _add_ends(gguf, tokenizer, special, adds_bos, adds_eos)
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer_config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_positions,
        **special,
    }
    template = gguf.value("tokenizer.chat_template", str)
    if template is not None:
        tokenizer_config["chat_template"] = template
    text = json.dumps(tokenizer_config, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


def _byte_level(vocabulary: Vocabulary, splitting: WordSplitting) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary.ids, merges=vocabulary.merges, ignore_merges=splitting.whole_words
        )
    )
    if splitting.compose:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = splitting.pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentencepiece(vocabulary: Vocabulary, space_prefix: bool) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    unknown = [
        token
        for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True)
        if kind == UNKNOWN
    ]
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary.ids,
            merges=vocabulary.joins(),
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


def _add_tokens(tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
    from tokenizers import AddedToken

    for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True):
        if kind in (CONTROL, UNKNOWN):
            tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)])
        elif kind == USER_DEFINED:
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
