"""A strict reader of GGUF headers: every count, offset and size is checked before it is used.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3).
"""

from __future__ import annotations

import itertools
import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from convert.errors import (
    BadHeaderError,
    MissingFileError,
    TruncatedFileError,
    UnsupportedEncodingError,
    UnsupportedError,
)

_Kind = TypeVar("_Kind")

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_AXES = 4
_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS: dict[int, str] = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "<u1",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_REMEDY = "download or write the file again"


@dataclass(frozen=True)
class GgufTensor:
    """One tensor of a GGUF file.

    Args:
        shape: Row-major, as numpy has it (the file lists the axes the other way round).
        type: The ggml type, such as ``Q4_1``.
        offset: Byte offset in the file.
        nbytes: Bytes stored.
        path: The file.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    nbytes: int
    path: Path


@dataclass(frozen=True)
class GgufFile:
    """The header of a GGUF file, or of all shards of one.

    Args:
        path: The file; the first of the shards.
        metadata: Keys and values; arrays are lists of strings or numpy arrays.
        tensors: By name, in the order of the files.
    """

    path: Path
    version: int
    metadata: Mapping[str, Any]
    tensors: Mapping[str, GgufTensor]

    @property
    def files(self) -> tuple[Path, ...]:
        """``path``, and the other shards."""
        return tuple(dict.fromkeys([self.path, *(each.path for each in self.tensors.values())]))

    def value(self, key: str, kind: type[_Kind], default: _Kind | None = None) -> _Kind | None:
        """The metadata value under ``key``, or ``default``.

        Raises:
            BadHeaderError: It is of another type.
        """
        value = self.metadata.get(key)
        if value is None:
            return default
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            found = f"{type(value).__name__} {str(value)[:40]!r}"
            raise _bad(self.path, f"bad metadata key {key}", f"of type {kind.__name__}", found)
        typed: _Kind = value
        return typed

    def strings(self, key: str) -> list[str]:
        """The array of strings under ``key``; an empty one where there is none.

        Raises:
            BadHeaderError: It is something else.
        """
        return self.value(key, list, []) or []

    def numbers(self, key: str) -> list[float]:
        """The array of numbers under ``key``; an empty one where there is none.

        Raises:
            BadHeaderError: It is something else.
        """
        values = self.value(key, np.ndarray)
        return [] if values is None else list(values.tolist())

    def read_rows(self, tensor: GgufTensor, start: int, stop: int) -> NDArray[np.float32]:
        """Rows of the first axis, dequantized: float32 ``[stop - start, elements of a row]``.

        Raises:
            TruncatedFileError: The file has become shorter than its header says.
            UnsupportedEncodingError: The gguf package cannot decode the tensor's type.
        """
        if len(tensor.shape) == 1:
            return self._read_blocks(tensor, 0, 1, tensor.nbytes).reshape(-1, 1)[start:stop]
        return self._read_blocks(tensor, start, stop, tensor.nbytes // tensor.shape[0])

    def _read_blocks(
        self, tensor: GgufTensor, start: int, stop: int, row_bytes: int
    ) -> NDArray[np.float32]:
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize

        with tensor.path.open("rb") as file:
            file.seek(tensor.offset + start * row_bytes)
            data = file.read((stop - start) * row_bytes)
        if len(data) != (stop - start) * row_bytes:
            raise _truncated(tensor.path, f"tensor {tensor.name!r}")
        kind = GGMLQuantizationType[tensor.type]
        if kind == GGMLQuantizationType.F32:
            return np.frombuffer(data, "<f4").reshape(stop - start, -1)
        if kind == GGMLQuantizationType.F16:
            return np.frombuffer(data, "<f2").astype(np.float32).reshape(stop - start, -1)
        blocks = np.frombuffer(data, np.uint8).reshape(stop - start, row_bytes)
        try:
            values: NDArray[np.float32] = dequantize(blocks, kind)
        except NotImplementedError as error:
            raise UnsupportedEncodingError(
                f"tensor {tensor.name!r} of {tensor.path} is stored as {tensor.type}",
                expected="a float type or a quantization that the gguf package decodes",
                remedy="take a GGUF of another quantization, best F16 or BF16",
            ) from error
        return values.reshape(stop - start, -1)


def read_gguf(path: Path) -> GgufFile:
    """Read and check the header of one GGUF file; no weight is read.

    Raises:
        MissingFileError: There is no such file.
        BadHeaderError: Not a GGUF, or its header contradicts itself.
        TruncatedFileError: The file is shorter than its header promises.
        UnsupportedError: A version, byte order or tensor type that cannot be read.
    """
    if not path.is_file():
        raise MissingFileError(f"no file {path}", remedy="check the path")
    size = path.stat().st_size
    if size < 24:
        if path.read_bytes()[:4] != MAGIC:
            raise _bad(path, "not a GGUF file", f"magic {MAGIC!r}", f"{size} bytes")
        raise _truncated(path, "the header")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _parse(_Cursor(path, data))


def _parse(cursor: _Cursor) -> GgufFile:
    magic = cursor.take(4)
    if magic != MAGIC:
        raise _bad(cursor.path, "not a GGUF file", f"magic {MAGIC!r}", repr(magic))
    version = cursor.number("<u4")
    if version not in _VERSIONS:
        raise UnsupportedError(
            f"{cursor.path} is a GGUF that cannot be read",
            expected="version 2 or 3, little-endian",
            found=f"version field {version}",
            remedy="convert the original checkpoint to GGUF again with a current llama.cpp",
        )
    tensor_count, pair_count = cursor.number("<u8"), cursor.number("<u8")
    metadata: dict[str, Any] = {}
    for _ in range(pair_count):
        key = cursor.string()
        if key in metadata:
            raise _bad(cursor.path, f"metadata key {key!r} occurs twice")
        metadata[key] = cursor.value(cursor.number("<u4"))
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise _bad(cursor.path, "bad alignment", "a power of two", repr(alignment))
    entries = [_tensor_entry(cursor) for _ in range(tensor_count)]
    data_offset = -(-cursor.position // alignment) * alignment
    tensors = _place(cursor, entries, data_offset, alignment)
    return GgufFile(cursor.path, version, metadata, tensors)


def _tensor_entry(cursor: _Cursor) -> GgufTensor:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    name = cursor.string()
    axes = cursor.number("<u4")
    if not 1 <= axes <= _MAX_AXES:
        raise _bad(cursor.path, f"tensor {name!r} has {axes} axes", f"1 to {_MAX_AXES}")
    shape = tuple(cursor.number("<u8") for _ in range(axes))[::-1]
    type_number, offset = cursor.number("<u4"), cursor.number("<u8")
    try:
        kind = GGMLQuantizationType(type_number)
    except ValueError:
        raise UnsupportedEncodingError(
            f"tensor {name!r} of {cursor.path} has an unknown type",
            found=f"ggml type {type_number}",
            remedy="take a GGUF of another quantization, best F16 or BF16",
        ) from None
    block, block_bytes = GGML_QUANT_SIZES[kind]
    if min(shape) < 1 or shape[-1] % block:
        raise _bad(
            cursor.path,
            f"tensor {name!r} has an impossible shape",
            f"rows of whole {kind.name} blocks of {block}",
            str(list(shape)),
        )
    nbytes = math.prod(shape) // block * block_bytes
    return GgufTensor(name, shape, kind.name, offset, nbytes, cursor.path)


def _place(
    cursor: _Cursor, entries: list[GgufTensor], data_offset: int, alignment: int
) -> dict[str, GgufTensor]:
    tensors: dict[str, GgufTensor] = {}
    for entry in entries:
        if entry.name in tensors:
            raise _bad(cursor.path, f"tensor {entry.name!r} occurs twice")
        if entry.offset % alignment:
            raise _bad(
                cursor.path,
                f"tensor {entry.name!r} is misplaced",
                f"an offset divisible by {alignment}",
                str(entry.offset),
            )
        offset = data_offset + entry.offset
        if offset + entry.nbytes > len(cursor.data):
            raise _truncated(cursor.path, f"tensor {entry.name!r}", offset + entry.nbytes)
        tensors[entry.name] = replace(entry, offset=offset)
    in_order = sorted(tensors.values(), key=lambda tensor: tensor.offset)
    for before, after in itertools.pairwise(in_order):
        if before.offset + before.nbytes > after.offset:
            raise _bad(cursor.path, f"tensors {before.name!r} and {after.name!r} overlap")
    return tensors


@dataclass
class _Cursor:
    """A position in the header that never passes the end of the file."""

    path: Path
    data: mmap.mmap
    position: int = 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.position:
            raise _truncated(self.path, "the header", self.position + count)
        start, self.position = self.position, self.position + count
        return self.data[start : self.position]

    def number(self, dtype: str) -> Any:
        return np.frombuffer(self.take(np.dtype(dtype).itemsize), dtype)[0].item()

    def string(self) -> str:
        (length,) = struct.unpack("<Q", self.take(8))
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise _bad(self.path, f"a string of the header is no UTF-8: {error}") from error

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise _bad(self.path, f"unknown metadata type {kind}")
        number = self.number(_SCALARS[kind])
        if kind == _BOOL:
            return bool(number)
        # The shortest decimal that means the same float32: 1e-05, not 9.999999747378752e-06.
        return float(str(np.float32(number))) if _SCALARS[kind] == "<f4" else number

    def _array(self) -> Any:
        kind, length = self.number("<u4"), self.number("<u8")
        if kind == _STRING:
            if length > (len(self.data) - self.position) // 8:
                raise _truncated(self.path, "an array of strings in the header")
            return [self.string() for _ in range(length)]
        if kind not in _SCALARS:
            raise _bad(self.path, f"unknown type {kind} of the elements of an array")
        dtype = np.dtype(_SCALARS[kind])
        values = np.frombuffer(self.take(length * dtype.itemsize), dtype)
        return values.astype(np.bool_) if kind == _BOOL else values


def _bad(
    path: Path, what: str, expected: str | None = None, found: str | None = None
) -> BadHeaderError:
    return BadHeaderError(f"{path}: {what}", expected=expected, found=found, remedy=_REMEDY)


def _truncated(path: Path, where: str, needed: int | None = None) -> TruncatedFileError:
    return TruncatedFileError(
        f"{path} ends inside {where}",
        expected=f"at least {needed} bytes" if needed else None,
        found=f"{path.stat().st_size} bytes",
        remedy=_REMEDY,
    )
