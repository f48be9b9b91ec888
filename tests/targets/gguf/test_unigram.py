"""Unigram models in llama.cpp give the ids of transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from convert.errors import UnsupportedTokenizerError
from targets.gguf.checkpoint_vocabulary import proven_vocabulary
from targets.gguf.sentencepiece_model import _fields
from targets.gguf.unigram import is_unigram
from tests.targets.gguf.checkpoints import sentencepiece

ROWS = 1600


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Pieces with scores, and the table of replaced characters."""
    import sentencepiece as spm

    path = sentencepiece(
        tmp_path_factory.mktemp("unigram") / "spiece.model", 1500, model_type="unigram"
    )
    processor = spm.SentencePieceProcessor(model_file=str(path))
    pieces = [(processor.id_to_piece(i), processor.get_score(i)) for i in range(len(processor))]
    (rules,) = (content for field, content in _fields(path.read_bytes()) if field == 3)
    (charsmap,) = (content for field, content in _fields(rules) if field == 2)
    return pieces, charsmap


def save(trained, folder, *, words: bool = True, byte_fallback: bool = False) -> Path:
    pieces, charsmap = trained
    tokenizer = Tokenizer(models.Unigram(pieces, 0, byte_fallback))
    spaced = pre_tokenizers.Metaspace(prepend_scheme="always")
    if words:
        tokenizer.normalizer = normalizers.Precompiled(charsmap)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), spaced]
        )
    else:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")]
        )
        tokenizer.pre_tokenizer = spaced
    tokenizer.add_special_tokens([AddedToken("<unk>"), AddedToken("<s>"), AddedToken("</s>")])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "unk_token": "<unk>"}'
    )
    return folder


def test_ids_are_proven(trained, tmp_path):
    vocabulary, notes = proven_vocabulary(save(trained, tmp_path), ROWS)
    assert (vocabulary.model, vocabulary.space_prefix) == ("t5", True)
    assert vocabulary.merges_spaces
    assert vocabulary.types[0] == 2
    assert any("U+0085" in note for note in notes)


def test_a_space_kept_at_the_end_of_a_text_is_refused(trained, tmp_path):
    """llama.cpp has none there once it merges spaces."""
    with pytest.raises(UnsupportedTokenizerError, match="trailing space"):
        proven_vocabulary(save(trained, tmp_path, words=False), ROWS)


def test_bytes_of_unknown_characters_are_refused(trained, tmp_path):
    """llama.cpp makes unknown tokens of them."""
    pieces, charsmap = trained
    in_bytes = [*pieces, *((f"<0x{byte:02X}>", 0.0) for byte in range(256))]
    save((in_bytes, charsmap), tmp_path, byte_fallback=True)
    with pytest.raises(UnsupportedTokenizerError, match="does not tokenize"):
        proven_vocabulary(tmp_path, ROWS + 256)


def test_bpe_is_no_unigram():
    assert not is_unigram({"model": {"type": "BPE"}})
