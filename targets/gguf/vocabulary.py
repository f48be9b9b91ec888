"""A tokenizer in the form that a GGUF stores it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Vocabulary:
    """What the ``tokenizer.*`` keys of a GGUF say.

    Args:
        model: ``gpt2`` for byte-level BPE, ``llama`` for SentencePiece BPE, ``t5`` for
            SentencePiece unigram.
        pre: Name of the pre-tokenizer.
        tokens: Text of each token, in the order of ids.
        types: gguf.TokenType of each.
        scores: SentencePiece only. Of BPE the rank as a number, higher merges first; of unigram
            the logarithm of the probability.
        merges: Pairs joined by a space, best first; byte-level only.
        space_prefix: Whether a space is put before the text.
        merges_spaces: Whether runs of spaces become one; None for models that cannot do that.
        charsmap: Table of replaced characters as SentencePiece has it, in Base64.
        ids: Ids by role: bos, eos, unk, sep, pad, mask, eot, eom.
        adds: Whether bos and eos are added to a prompt.
        chat_templates: Templates by name; ``default`` is the one that is used unasked.
    """

    model: str
    pre: str
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    scores: tuple[float, ...] = ()
    merges: tuple[str, ...] = ()
    space_prefix: bool = False
    merges_spaces: bool | None = None
    charsmap: str = ""
    ids: Mapping[str, int] = field(default_factory=dict)
    adds: Mapping[str, bool] = field(default_factory=dict)
    chat_templates: Mapping[str, str] = field(default_factory=dict)


def add_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    """Write the ``tokenizer.*`` keys."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    # Unpaired surrogates cannot occur in JSON that was decoded as UTF-8.
    writer.add_token_list([token.encode() for token in vocabulary.tokens])
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    for role, token in vocabulary.ids.items():
        getattr(writer, f"add_{role}_token_id")(token)
    writer.add_add_bos_token(vocabulary.adds.get("bos", False))
    writer.add_add_eos_token(vocabulary.adds.get("eos", False))
    writer.add_add_space_prefix(vocabulary.space_prefix)
    if vocabulary.merges_spaces is not None:
        writer.add_remove_extra_whitespaces(vocabulary.merges_spaces)
    if vocabulary.charsmap:
        writer.add_precompiled_charsmap(base64.b64decode(vocabulary.charsmap))
    _add_chat_templates(writer, vocabulary.chat_templates)


def _add_chat_templates(writer: Any, templates: Mapping[str, str]) -> None:
    # GGUFWriter.add_chat_template would write the names in an order that changes between runs.
    from gguf import Keys

    if "default" in templates:
        writer.add_string(Keys.Tokenizer.CHAT_TEMPLATE, templates["default"])
    others = sorted(set(templates) - {"default"})
    for name in others:
        writer.add_string(Keys.Tokenizer.CHAT_TEMPLATE_N.format(name=name), templates[name])
    writer.add_array(Keys.Tokenizer.CHAT_TEMPLATES, others)
