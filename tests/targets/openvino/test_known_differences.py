"""Only texts whose marks are out of order are excused, and only for a tokenizer that composes."""

from __future__ import annotations

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from golden.texts import parity_texts
from targets.openvino.known_differences import REORDERING, known_difference

COMPOSER = {"normalizer": {"type": "NFC"}}
SHIN_DOT, QAMATS, ACUTE, DOT_BELOW = "\u05c1", "\u05b8", "\u0301", "\u0323"


@pytest.mark.parametrize(
    ("text", "tokenizer", "reason"),
    [
        ("\u05e9" + SHIN_DOT + QAMATS, COMPOSER, REORDERING),
        ("\u05e9" + QAMATS + SHIN_DOT, COMPOSER, None),
        ("e" + ACUTE, COMPOSER, None),
        ("e" + ACUTE + DOT_BELOW, COMPOSER, REORDERING),
        ("\u00e9" + DOT_BELOW, COMPOSER, REORDERING),
        ("e" + ACUTE + "e" + DOT_BELOW, COMPOSER, None),
        ("\u05e9" + SHIN_DOT + QAMATS, {"normalizer": None}, None),
        ("\u05e9" + SHIN_DOT + QAMATS, {}, None),
    ],
)
def test_a_text_is_excused_only_where_it_applies(text, tokenizer, reason):
    assert known_difference(text, tokenizer) == reason


def test_openvino_differs_exactly_where_it_is_known_to():
    openvino_tokenizers = pytest.importorskip("openvino_tokenizers")
    original = _composing_tokenizer()
    model = openvino_tokenizers.convert_tokenizer(
        PreTrainedTokenizerFast(tokenizer_object=original), with_detokenizer=False
    )
    import openvino

    compiled = openvino.Core().compile_model(model, "CPU")
    marks = ["\u05e9" + SHIN_DOT + QAMATS, "e" + ACUTE + DOT_BELOW, "e" + ACUTE, "a"]
    for text in [*marks, *filter(None, parity_texts())]:
        same = compiled([text])["input_ids"][0].tolist() == original.encode(text).ids
        assert same == (known_difference(text, COMPOSER) is None), text


def _composing_tokenizer() -> Tokenizer:
    """Bytes as tokens, characters composed first."""
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "th"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("t", "h")]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s+|\S+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>"])
    return tokenizer
