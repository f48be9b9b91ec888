"""A GGUF taken apart, changed and put together again, without the reader that is on trial."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field

from tests.fuzz.values import INTEGERS, TEXTS

_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9


@dataclass
class _Parts:
    version: int
    pairs: list[tuple[bytes, int, bytes]]
    tensors: list[tuple[bytes, list[int], int, int]]
    data: bytes
    counts: list[int | None] = field(default_factory=lambda: [None, None])

    def whole(self) -> bytes:
        """The file; counts are right unless they are given."""
        counts = (len(self.tensors), len(self.pairs))
        stated = [
            own if own is not None else right
            for own, right in zip(self.counts, counts, strict=True)
        ]
        text = b"GGUF" + struct.pack("<IQQ", self.version, *stated)
        for key, kind, value in self.pairs:
            text += _text(key) + struct.pack("<I", kind) + value
        for name, axes, kind, offset in self.tensors:
            text += _text(name) + struct.pack(f"<I{len(axes)}QIQ", len(axes), *axes, kind, offset)
        return text + bytes(-len(text) % 32) + self.data


def mutated_gguf(rng: random.Random, data: bytes) -> bytes:
    """A few pairs, tensors or counts changed."""
    parts = _parts(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        what = rng.randrange(16)
        if what == 0:
            parts.counts[rng.randrange(2)] = rng.choice(INTEGERS) % 2**64
        elif what == 1:
            parts.version = rng.choice(INTEGERS) % 2**32
        elif what == 2:
            parts.data = parts.data[: rng.randrange(len(parts.data) + 1)]
        elif what == 3 and parts.data:
            at = rng.randrange(len(parts.data))
            parts.data = parts.data[:at] + rng.randbytes(8) + parts.data[at + 8 :]
        elif what <= 9 and parts.pairs:
            _change_pair(rng, parts.pairs)
        elif parts.tensors:
            _change_tensor(rng, parts.tensors)
    return parts.whole()


def _change_pair(rng: random.Random, pairs: list[tuple[bytes, int, bytes]]) -> None:
    at = rng.randrange(len(pairs))
    key, kind, value = pairs[at]
    what = rng.randrange(8)
    if what == 0:
        del pairs[at]
    elif what == 1:
        pairs.append((rng.choice((key, key + b"x", rng.choice(pairs)[0])), kind, value))
    elif what == 2:
        pairs[at] = (key, *_value(rng))
    elif what == 3:
        _, other, taken = rng.choice(pairs)
        pairs[at] = (key, other, taken)
    elif what == 4 and kind == _ARRAY:
        inner, _ = struct.unpack_from("<IQ", value)
        pairs[at] = (
            key,
            kind,
            struct.pack("<IQ", inner, rng.choice(INTEGERS) % 2**64) + value[12:],
        )
    elif kind == _ARRAY:
        pairs[at] = (key, kind, _array(rng, value))
    elif kind in _WIDTHS:
        width = _WIDTHS[kind]
        number = rng.choice(INTEGERS) % 256**width
        pairs[at] = (key, kind, number.to_bytes(width, "little"))
    else:
        pairs[at] = (key, kind, _text(rng.choice(TEXTS).encode()))


def _value(rng: random.Random) -> tuple[int, bytes]:
    kind = rng.choice((*_WIDTHS, _STRING, _ARRAY, 13))
    if kind == _STRING:
        return kind, _text(rng.choice(TEXTS).encode())
    if kind == _ARRAY:
        inner, count = rng.choice([*_WIDTHS]), rng.choice((0, 1, 2, 5))
        return kind, struct.pack("<IQ", inner, count) + rng.randbytes(_WIDTHS[inner] * count)
    return kind, rng.choice((rng.randbytes(8), b"\xff" * 8, bytes(8)))[: _WIDTHS.get(kind, 4)]


def _array(rng: random.Random, value: bytes) -> bytes:
    inner, count = struct.unpack_from("<IQ", value)
    if inner != _STRING:
        width = _WIDTHS.get(inner, 1)
        at = 12 + width * rng.randrange(max(1, count))
        number = rng.choice((*INTEGERS, 0x7FC00000, 0x7F800000)) % 256**width
        return value[:at] + number.to_bytes(width, "little") + value[at + width :]
    texts, at = [], 12
    for _ in range(count):
        (length,) = struct.unpack_from("<Q", value, at)
        texts.append(value[at + 8 : at + 8 + length])
        at += 8 + length
    if texts:
        at = rng.randrange(len(texts))
        other = rng.choice(texts)
        said = rng.choice(TEXTS).encode()
        texts[at] = rng.choice(
            (said, said, other, texts[at] + other, texts[at] + b" ", b"\xff", b" ")
        )
    if rng.random() < 0.1:
        del texts[rng.randrange(len(texts) + 1) :]
    return struct.pack("<IQ", inner, len(texts)) + b"".join(map(_text, texts))


def _change_tensor(rng: random.Random, tensors: list[tuple[bytes, list[int], int, int]]) -> None:
    at = rng.randrange(len(tensors))
    name, axes, kind, offset = tensors[at]
    what = rng.randrange(7)
    if what == 0:
        del tensors[at]
    elif what == 1:
        tensors.append((rng.choice((name, name + b"x")), axes, kind, offset))
    elif what == 2:
        axes = list(axes)
        axes[rng.randrange(len(axes))] = rng.choice(INTEGERS) % 2**64
        tensors[at] = (name, axes, kind, offset)
    elif what == 3:
        tensors[at] = (name, rng.choice(([], [*axes, 1], axes[:1], axes[::-1])), kind, offset)
    elif what == 4:
        tensors[at] = (
            name,
            axes,
            rng.choice((rng.randrange(45), rng.choice(INTEGERS) % 2**32)),
            offset,
        )
    elif what == 5:
        tensors[at] = (name, axes, kind, rng.choice(INTEGERS) % 2**64)
    else:
        tensors[at] = (
            rng.choice((rng.choice(TEXTS).encode(), rng.choice(tensors)[0])),
            axes,
            kind,
            offset,
        )


def _text(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def _parts(data: bytes) -> _Parts:
    try:
        return _taken_apart(data)
    except (struct.error, MemoryError, OverflowError) as error:
        raise ValueError(str(error)) from error


def _taken_apart(data: bytes) -> _Parts:
    version, tensor_count, pair_count = struct.unpack_from("<IQQ", data, 4)
    at, pairs, tensors = 24, [], []
    for _ in range(pair_count):
        key, at = _read_text(data, at)
        (kind,) = struct.unpack_from("<I", data, at)
        end = _end(data, at + 4, kind)
        pairs.append((key, kind, data[at + 4 : end]))
        at = end
    for _ in range(tensor_count):
        name, at = _read_text(data, at)
        (count,) = struct.unpack_from("<I", data, at)
        *axes, kind, offset = struct.unpack_from(f"<{count}QIQ", data, at + 4)
        tensors.append((name, axes, kind, offset))
        at += 4 + 8 * count + 12
    return _Parts(version, pairs, tensors, data[at + -at % 32 :])


def _read_text(data: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    if at + 8 + length > len(data):
        raise ValueError("cut short")
    return data[at + 8 : at + 8 + length], at + 8 + length


def _end(data: bytes, at: int, kind: int) -> int:
    if kind == _STRING:
        return _read_text(data, at)[1]
    if kind != _ARRAY:
        return at + _WIDTHS[kind]
    inner, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if inner != _STRING:
        return at + _WIDTHS[inner] * count
    for _ in range(count):
        at = _read_text(data, at)[1]
    return at
