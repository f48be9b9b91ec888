"""Reads the pieces and scores of a SentencePiece ``tokenizer.model``, a protocol buffer.

The format: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto and
https://protobuf.dev/programming-guides/encoding/. Field 1 of the model is a piece; field 1 of a
piece is its text and field 2 its score.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from convert.errors import BrokenInputError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Piece:
    """A token of a SentencePiece model."""

    text: str
    score: float


def read_pieces(path: Path) -> list[Piece]:
    """All pieces in the order of their ids.

    Raises:
        BrokenInputError: The file is no SentencePiece model.
    """
    try:
        return [
            _piece(content)
            for field, content in _fields(path.read_bytes())
            if field == 1 and isinstance(content, bytes)
        ]
    except (IndexError, ValueError, struct.error) as error:
        raise BrokenInputError(
            f"{path.name} is not a SentencePiece model", found=str(error)
        ) from error


def _piece(data: bytes) -> Piece:
    text, score = "", 0.0
    for field, content in _fields(data):
        if field == 1 and isinstance(content, bytes):
            text = content.decode()
        elif field == 2 and isinstance(content, bytes):
            (score,) = struct.unpack("<f", content)
    return Piece(text, score)


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and content of each field of a message; fixed-size numbers as their bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            number, at = _varint(data, at)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + size > len(data):
            raise ValueError(f"a field of {size} bytes at byte {at} runs past the end")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, lowest first, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
