"""The golden file: recorded float32 outputs of an original, in one safetensors file.

Tensors: ``ids.N`` int64 ``[S]`` and ``logits.N`` float32 ``[S, vocab]`` for prompt N, and, if the
model has a tokenizer, ``tokenizer`` uint8: the UTF-8 text of its tokenizer.json. Everything else
is one JSON text under the metadata key ``golden``.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from convert.errors import (
    BadHeaderError,
    BrokenInputError,
    DiskFullError,
    GoldenMismatchError,
    MissingFileError,
    TruncatedFileError,
)

FORMAT_VERSION = 1
METADATA_KEY = "golden"
RECORD_AGAIN = "record it again with `convert golden record`"

GENERATED_TOKENS = 24
"""At most so many tokens continue the sample."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model was recorded.

    Args:
        label: Name for people; never a path.
        config_sha256: SHA-256 of config.json's bytes, hexadecimal.
        digest: Whatever the recorder's caller uses to tell checkpoints apart; may be empty.
        vocab: Width of the logits.
    """

    label: str
    config_sha256: str
    digest: str
    vocab: int


@dataclass(frozen=True)
class TokenizedText:
    """A text and its ids by the original tokenizer, no special tokens added or parsed."""

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class RenderedChat:
    """Messages and what the original chat template makes of them, with generation prompt."""

    messages: tuple[Mapping[str, str], ...]
    text: str


@dataclass(frozen=True)
class Header:
    """Everything in a golden file but the prompts and their logits.

    Args:
        model: What was recorded.
        versions: Version of each library that computed it.
        prompts_sha256: Hash of the prompts' ids.
        sample_ids: A short text for the artifact to continue.
        stop_ids: Tokens that end a generation.
        continuation: How the original continues that text; None if that was not recorded.
        tokenized: Texts for tokenizer parity; empty without a tokenizer.
        chats: Renderings for chat template parity; empty without a template.
        tokenizer_json: The original's fast tokenizer, to decode generated ids.
    """

    model: ModelIdentity
    versions: Mapping[str, str]
    prompts_sha256: str
    sample_ids: tuple[int, ...]
    stop_ids: tuple[int, ...]
    continuation: tuple[int, ...] | None = None
    tokenized: tuple[TokenizedText, ...] = ()
    chats: tuple[RenderedChat, ...] = ()
    tokenizer_json: str | None = None


class Golden:
    """A golden file, opened; one prompt's logits are read at a time."""

    def __init__(self, path: Path, header: Header, prompts: tuple[tuple[int, ...], ...]) -> None:
        self.path = path
        self.header = header
        self.prompts = prompts

    def logits(self, prompt: int) -> NDArray[np.float32]:
        """Logits ``[S, vocab]`` of one prompt.

        Raises:
            BrokenInputError: A recorded logit is NaN or infinite.
        """
        values = _tensor(self.path, f"logits.{prompt}")
        if not np.isfinite(values).all():
            raise BrokenInputError(
                f"{self.path.name} holds NaN or infinite logits for prompt {prompt}",
                expected="finite outputs of the original",
                remedy=RECORD_AGAIN,
            )
        return cast("NDArray[np.float32]", values)

    def require_model(
        self, *, digest: str = "", config_sha256: str = "", vocab: int | None = None
    ) -> None:
        """Refuse a recording of another model; what is not given, or was not recorded, is not
        compared.

        Raises:
            GoldenMismatchError: A digest or the vocabulary differs.
        """
        model = self.header.model
        pairs: tuple[tuple[str, object, object], ...] = (
            ("checkpoint digest", digest or model.digest, model.digest or digest),
            ("SHA-256 of config.json", config_sha256 or model.config_sha256, model.config_sha256),
            ("vocabulary", model.vocab if vocab is None else vocab, model.vocab),
        )
        for what, expected, found in pairs:
            if expected != found:
                raise GoldenMismatchError(
                    f"{self.path.name} is a recording of another model, {model.label!r}",
                    expected=f"{what} {expected}",
                    found=f"{what} {found}",
                    remedy="give --golden a recording of this model, or leave it out to make one",
                )


def prompts_hash(prompts: Iterable[Sequence[int]]) -> str:
    """SHA-256 of the prompts' ids."""
    return hashlib.sha256(json.dumps([list(ids) for ids in prompts]).encode()).hexdigest()


def write(
    path: Path,
    header: Header,
    prompts: Sequence[Sequence[int]],
    logits: Iterable[NDArray[np.float32]],
) -> None:
    """Write a golden file, one prompt's logits in memory at a time.

    The file appears under its name only when complete.

    Args:
        logits: For each prompt, in order, an array ``[S, vocab]``.

    Raises:
        DiskFullError: The file system has no room.
        ValueError: An array has another shape than its prompt and the vocabulary give.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            _write_tensors(file, header, prompts, logits)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFullError(
            f"no room to write {path.name}", remedy="free some space and run again"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path) -> Golden:
    """Open a golden file and check its header.

    Raises:
        MissingFileError: There is no such file.
        TruncatedFileError: The file ends before the tensors its header promises.
        BadHeaderError: It is not a golden file, or its parts contradict each other.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise MissingFileError(f"there is no recording {path.name}", remedy=RECORD_AGAIN)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {})[METADATA_KEY])
            if metadata["format"] != FORMAT_VERSION:
                raise _not_golden(path, f"format version {metadata['format']!r}")
            has_tokenizer = "tokenizer" in file.keys()  # noqa: SIM118 - not a mapping
            tokenizer = bytes(file.get_tensor("tokenizer")).decode() if has_tokenizer else None
            header = _parse_header(metadata, tokenizer)
            prompts = tuple(_prompts(file, metadata["prompts"], header.model.vocab))
    except SafetensorError as error:
        raise _unreadable(path, error) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _not_golden(path, f"{type(error).__name__}: {error}") from error
    if prompts_hash(prompts) != header.prompts_sha256:
        raise _not_golden(path, "prompts that differ from their recorded hash")
    return Golden(path, header, prompts)


def _write_tensors(
    file: BinaryIO,
    header: Header,
    prompts: Sequence[Sequence[int]],
    logits: Iterable[NDArray[np.float32]],
) -> None:
    fixed = {f"ids.{i}": np.asarray(ids, np.dtype("<i8")) for i, ids in enumerate(prompts)}
    if header.tokenizer_json is not None:
        # A multiple of 8 bytes keeps the logits aligned; JSON may end in spaces.
        text = header.tokenizer_json.encode()
        fixed["tokenizer"] = np.frombuffer(text + b" " * (-len(text) % 8), np.uint8)
    shapes = {f"logits.{i}": (len(ids), header.model.vocab) for i, ids in enumerate(prompts)}
    file.write(_safetensors_header(_metadata(header, len(prompts)), fixed, shapes))
    for array in fixed.values():
        file.write(array.tobytes())
    for (name, shape), values in zip(shapes.items(), logits, strict=True):
        if values.shape != shape or values.dtype != np.float32:
            raise ValueError(f"{name} is {values.dtype} {values.shape}, not float32 {shape}")
        file.write(np.ascontiguousarray(values, np.dtype("<f4")).data)


def _safetensors_header(
    metadata: str, fixed: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, int]]
) -> bytes:
    kinds = {np.dtype("<i8"): "I64", np.dtype(np.uint8): "U8"}
    entries: dict[str, Any] = {"__metadata__": {METADATA_KEY: metadata}}
    offset = 0
    described = [(n, kinds[a.dtype], a.shape, a.nbytes) for n, a in fixed.items()]
    described += [(name, "F32", shape, 4 * math.prod(shape)) for name, shape in shapes.items()]
    for name, dtype, shape, size in described:
        span = [offset, offset + size]
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": span}
        offset += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _metadata(header: Header, prompts: int) -> str:
    plain = dataclasses.asdict(header)
    del plain["tokenizer_json"]
    return json.dumps({"format": FORMAT_VERSION, "prompts": prompts, **plain}, sort_keys=True)


def _parse_header(metadata: Mapping[str, Any], tokenizer_json: str | None) -> Header:
    model = ModelIdentity(**metadata["model"])
    continuation = metadata.get("continuation")
    if not isinstance(model.vocab, int) or model.vocab < 1:
        raise ValueError(f"a vocabulary of {model.vocab!r}")
    return Header(
        model=model,
        versions=dict(metadata["versions"]),
        prompts_sha256=str(metadata["prompts_sha256"]),
        sample_ids=tuple(map(int, metadata["sample_ids"])),
        stop_ids=tuple(map(int, metadata["stop_ids"])),
        continuation=None if continuation is None else tuple(map(int, continuation)),
        tokenized=tuple(
            TokenizedText(str(item["text"]), tuple(map(int, item["ids"])))
            for item in metadata["tokenized"]
        ),
        chats=tuple(
            RenderedChat(tuple(map(dict, item["messages"])), str(item["text"]))
            for item in metadata["chats"]
        ),
        tokenizer_json=tokenizer_json,
    )


def _prompts(file: Any, count: int, vocab: int) -> Iterator[tuple[int, ...]]:
    if count < 1:
        raise ValueError("no prompts")
    names = set(file.keys())
    for index in range(count):
        if not {f"ids.{index}", f"logits.{index}"} <= names:
            raise ValueError(f"prompt {index} of {count} is missing")
        ids = file.get_tensor(f"ids.{index}")
        stored = file.get_slice(f"logits.{index}")
        if ids.dtype != np.int64 or ids.ndim != 1 or stored.get_dtype() != "F32":
            raise ValueError(f"prompt {index} has the wrong dtypes")
        if stored.get_shape() != [len(ids), vocab]:
            raise ValueError(f"logits.{index} has shape {stored.get_shape()}")
        if not len(ids) or ids.min() < 0 or ids.max() >= vocab:
            raise ValueError(f"ids.{index} is empty or outside the vocabulary")
        yield tuple(ids.tolist())


def _tensor(path: Path, name: str) -> NDArray[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return cast("NDArray[Any]", file.get_tensor(name))
    except SafetensorError as error:
        raise _unreadable(path, error) from error


def _not_golden(path: Path, found: str) -> BadHeaderError:
    return BadHeaderError(
        f"{path.name} is not a recording that this version reads",
        expected=f"a golden file of format {FORMAT_VERSION}",
        found=found,
        remedy=RECORD_AGAIN,
    )


def _unreadable(path: Path, error: Exception) -> BrokenInputError:
    promised, actual = _promised_size(path), path.stat().st_size
    if promised is None or promised <= actual:
        return _not_golden(path, str(error))
    return TruncatedFileError(
        f"{path.name} ends before the data that its header promises",
        expected=f"{promised} bytes",
        found=f"{actual} bytes",
        remedy=f"copy it again, or {RECORD_AGAIN}",
    )


def _promised_size(path: Path) -> int | None:
    """Bytes that the file's header says it has; None if that cannot be told."""
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            return 8
        length = int(struct.unpack("<Q", start)[0])
        if length > 100_000_000:
            return None
        text = file.read(length)
    if len(text) < length:
        return 8 + length
    try:
        entries = json.loads(text)
        ends = [e["data_offsets"][1] for n, e in entries.items() if n != "__metadata__"]
        return 8 + length + max(map(int, ends))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None
