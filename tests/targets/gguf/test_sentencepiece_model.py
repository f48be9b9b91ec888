"""The reader of tokenizer.model agrees with the sentencepiece package and refuses damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.errors import BrokenInputError
from targets.gguf.sentencepiece_model import read_pieces
from tests.targets.gguf.checkpoints import sentencepiece


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sentencepiece(tmp_path_factory.mktemp("spm") / "tokenizer.model", size=1100)


def test_pieces_and_scores(model_file: Path) -> None:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(model_file))
    pieces = read_pieces(model_file)
    assert [piece.text for piece in pieces] == [processor.id_to_piece(i) for i in range(1100)]
    assert [piece.score for piece in pieces] == [processor.get_score(i) for i in range(1100)]


@pytest.mark.parametrize(
    "data", [b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"\x0f\x00", b"\x0a\x02\x0a\x09"]
)
def test_damage_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(data)
    with pytest.raises(BrokenInputError, match="not a SentencePiece model"):
        read_pieces(tmp_path / "tokenizer.model")


def test_a_truncated_model_is_refused(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(model_file.read_bytes()[:-3])
    with pytest.raises(BrokenInputError):
        read_pieces(tmp_path / "tokenizer.model")
