"""Changes to a case that keep most of its form, so that readers get far before they stumble."""

from __future__ import annotations

import io
import json
import random
import zipfile

from tests.fuzz.cases import Case
from tests.fuzz.gguf_parts import mutated_gguf
from tests.fuzz.values import INTEGERS, RAW, as_json, changed_tree
from tests.fuzz.yaml_text import mutated_yaml

_LONGEST = 300_000


def mutated(rng: random.Random, case: Case, others: list[Case]) -> Case:
    """A case with one to three of its files changed, or a file of another case among its own."""
    result = dict(case)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name = rng.choice(sorted(result)) if result else "config.json"
        what = rng.randrange(40)
        if what == 0:
            result.pop(name, None)
        elif what == 1:
            donor = rng.choice(others)
            taken = rng.choice(sorted(donor))
            result[taken] = donor[taken]
        else:
            result[name] = mutated_file(rng, name, result.get(name, b""))[:_LONGEST]
    return result


def mutated_file(rng: random.Random, name: str, data: bytes) -> bytes:
    """The contents of a file changed as its kind suggests, now and then as any bytes."""
    change = next((each for ending, each in _BY_ENDING.items() if name.endswith(ending)), None)
    if change is not None and rng.random() < 0.85:
        try:
            return change(rng, data)
        except Exception:  # what earlier changes left may be of no form any more
            return mutated_bytes(rng, data)
    return mutated_bytes(rng, data)


def mutated_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes flipped, cut, doubled, moved, or a number in them replaced."""
    buffer = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        where = rng.randrange(len(buffer) + 1)
        what, length = rng.randrange(7), rng.choice((1, 2, 4, 8, 16, 64, 1024))
        if what == 0:
            buffer[where : where + 1] = bytes([rng.randrange(256)])
        elif what == 1:
            del buffer[where : where + length]
        elif what == 2:
            buffer[where:where] = buffer[where : where + length]
        elif what == 3:
            width = rng.choice((1, 2, 4, 8))
            number = rng.choice(INTEGERS) % (1 << 8 * width)
            buffer[where : where + width] = number.to_bytes(width, "little")
        elif what == 4:
            other = rng.randrange(len(buffer) + 1)
            buffer[where : where + length] = buffer[other : other + length]
        elif what == 5 and rng.random() < 0.2:
            del buffer[where:]
        else:
            buffer[where:where] = rng.choice(RAW)[:64].encode("utf-8", "surrogatepass")
    return bytes(buffer)


def _json(rng: random.Random, data: bytes) -> bytes:
    return as_json(rng, changed_tree(rng, json.loads(data)))


def _safetensors(rng: random.Random, data: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    text, rest = data[8 : 8 + length], data[8 + length :]
    if rng.random() < 0.15:
        text = mutated_bytes(rng, text)
    else:
        text = as_json(rng, changed_tree(rng, json.loads(text)))
    if rng.random() < 0.1:
        rest = mutated_bytes(rng, rest)
    stated = len(text) if rng.random() < 0.9 else rng.choice(INTEGERS) % 2**64
    return stated.to_bytes(8, "little") + text + rest


def _zip(rng: random.Random, data: bytes) -> bytes:
    """A PyTorch file: its members changed and packed again, so that checksums are right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(each.file_size for each in archive.infolist()) > 10 * _LONGEST:
            return mutated_bytes(rng, data)
        members = {each.filename: archive.read(each) for each in archive.infolist()}
    name = rng.choice([*members, *(each for each in members if each.endswith(".pkl")), *members])
    what = rng.randrange(12)
    if what == 0:
        del members[name]
    elif what == 1:
        members[name + rng.choice(("x", "/../y", "\0"))] = members[name]
    elif what == 2:
        members[name] = bytes(1_000_000)
    elif name.endswith(".pkl"):
        members[name] = _pickle(rng, members[name])
    else:
        members[name] = mutated_bytes(rng, members[name])
    large = what == 2 or sum(map(len, members.values())) > _LONGEST
    kind = zipfile.ZIP_DEFLATED if large else zipfile.ZIP_STORED
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for each, content in members.items():
            archive.writestr(each, content)
    return buffer.getvalue()


def _pickle(rng: random.Random, data: bytes) -> bytes:
    """Arguments of single opcodes changed, or opcodes put in."""
    if rng.random() < 0.3 or len(data) > _LONGEST:
        return mutated_bytes(rng, data)
    buffer = bytearray(data)
    for _ in range(rng.choice((1, 1, 2))):
        places = [at for at, byte in enumerate(buffer) if byte in b"KMJX"]
        at = rng.choice(places)
        if buffer[at : at + 1] in (b"K", b"M"):
            width = 1 if buffer[at : at + 1] == b"K" else 2
            wide = b"J" + (rng.choice(INTEGERS) % 2**32).to_bytes(4, "little")
            narrow = buffer[at : at + 1] + (rng.choice(INTEGERS) % 256**width).to_bytes(
                width, "little"
            )
            buffer[at : at + 1 + width] = rng.choice((wide, narrow, b"N", b")", b"\x88", b"]"))
        else:
            buffer[at : at + 5] = buffer[at : at + 1] + (rng.choice(INTEGERS) % 2**32).to_bytes(
                4, "little"
            )
    return bytes(buffer)


_BY_ENDING = {
    ".json": _json,
    ".sig": _json,
    ".safetensors": _safetensors,
    ".bin": _zip,
    ".gguf": mutated_gguf,
    ".yaml": mutated_yaml,
}
