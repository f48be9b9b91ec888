"""A strict reader of safetensors: every size and offset is checked before it is used.

Format: https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from convert.errors import (
    BadHeaderError,
    MissingFileError,
    TensorMismatchError,
    TruncatedFileError,
    UnsupportedConfigError,
)
from convert.sources.shards import check_promised, read_index
from convert.weights import FileWeight, FloatType, Weight

SINGLE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
MAX_HEADER_BYTES = 100_000_000
_MAX_AXES = 16
_TOO_LARGE = 1 << 63
_ITEM_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
_REMEDY = "download the file again"


@dataclass(frozen=True)
class StoredTensor:
    """One entry of a safetensors header.

    Args:
        dtype: As the header says, such as ``BF16`` or ``F8_E4M3``.
        offset: Byte offset in the file.
        nbytes: Bytes stored.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    offset: int
    nbytes: int


@dataclass(frozen=True)
class SafetensorsHeader:
    """A checked header: its tensors in the order of the file, and its free metadata."""

    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]


def read_header(path: Path) -> SafetensorsHeader:
    """Read and check one file's header; no weight is read.

    Raises:
        MissingFileError: There is no such file.
        TruncatedFileError: The file is shorter than its header promises.
        BadHeaderError: The header cannot be parsed or contradicts itself.
    """
    if not path.is_file():
        raise MissingFileError(f"no file {path}", remedy=_REMEDY)
    with path.open("rb") as file:
        return parse_header(path, file, path.stat().st_size)


def parse_header(path: Path, file: BinaryIO, size: int) -> SafetensorsHeader:
    """Read and check the header of a file of which no more than the header need be there.

    Args:
        path: Where the file is or will be.
        file: Its beginning.
        size: Bytes of the whole file.

    Raises:
        TruncatedFileError: The file is shorter than its header promises.
        BadHeaderError: The header cannot be parsed or contradicts itself.
    """
    prefix = file.read(8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8:
        raise _truncated(path, "a header of at least 8 bytes", size)
    if _LFS_POINTER.startswith(prefix):
        raise TruncatedFileError(
            f"{path} holds no weights: it is a Git LFS pointer to them",
            expected="a safetensors file",
            found=f"{size} bytes of text",
            remedy="run `git lfs pull` in the checkpoint's folder, or download the file",
        )
    if length > MAX_HEADER_BYTES:
        raise _bad(path, "absurd header", f"at most {MAX_HEADER_BYTES} bytes", f"{length} bytes")
    if 8 + length > size:
        raise _truncated(path, f"a header of {length} bytes", size)
    header = _parse(path, file.read(length))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _bad(path, "bad __metadata__", "an object", repr(metadata)[:80])
    data_offset = 8 + length
    tensors = {name: _entry(path, name, entry, data_offset) for name, entry in header.items()}
    ordered = sorted(tensors.values(), key=lambda tensor: (tensor.offset, tensor.nbytes))
    _check_layout(path, ordered, data_offset, size)
    return SafetensorsHeader({tensor.name: tensor for tensor in ordered}, metadata)


def find_files(folder: Path, coming: Collection[str] = ()) -> dict[str, tuple[str, ...]] | None:
    """The safetensors files of a checkpoint folder with the tensors the index promises.

    Args:
        folder: Holds the index, if there is one.
        coming: Names of files that are on their way to the folder.

    Returns:
        File name -> tensor names (empty for a single file); None if the folder has no
        safetensors.

    Raises:
        UnsafePathError: The index points outside the folder.
        BadHeaderError: The index cannot be parsed.
        MissingFileError: There are shards but no index.
    """
    if (folder / INDEX_NAME).is_file():
        return read_index(folder / INDEX_NAME, coming)
    found = sorted({*coming, *(path.name for path in folder.glob("*.safetensors"))})
    if SINGLE_NAME in found:
        return {SINGLE_NAME: ()}
    if not found:
        return None
    if len(found) == 1:
        return {found[0]: ()}
    raise MissingFileError(
        f"{folder} has shards but no index",
        expected=INDEX_NAME,
        found=f"{len(found)} files, {found[0]} the first",
        remedy="download the index too",
    )


def open_weights(
    folder: Path,
    files: Mapping[str, tuple[str, ...]],
    skip: Callable[[str], bool],
    header_of: Callable[[Path], SafetensorsHeader] = read_header,
) -> dict[str, Weight]:
    """Every tensor of the files as a lazy weight, but for those whose names are to be skipped.

    Args:
        folder: Holds the files, or will.
        files: As `find_files` finds them.
        skip: Whether a name is to be skipped.
        header_of: Reads the header of a file.

    Raises:
        TensorMismatchError: Index and shards disagree, or two shards hold the same tensor.
        UnsupportedConfigError: A tensor is quantized already.
        BrokenInputError: A file is missing, truncated or contradicts itself.
    """
    weights: dict[str, Weight] = {}
    for name, promised in files.items():
        tensors = header_of(folder / name).tensors
        check_promised(folder / name, promised, tensors)
        for tensor in tensors.values():
            if tensor.name in weights:
                raise TensorMismatchError(
                    f"tensor {tensor.name!r} is in two files of {folder}",
                    remedy="remove files that do not belong to the checkpoint",
                )
            if not skip(tensor.name):
                weights[tensor.name] = _weight(tensor)
    return weights


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise _bad(path, f"key {repeated!r} occurs twice in the header")
        return dict(pairs)

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise _bad(path, "the header is no JSON", found=str(error)[:120]) from error
    if not isinstance(header, dict):
        raise _bad(path, "bad header", "a JSON object", type(header).__name__)
    return header


def _entry(path: Path, name: str, entry: object, data_offset: int) -> StoredTensor:
    def bad(what: str, expected: str, found: object) -> BadHeaderError:
        return _bad(path, f"tensor {name!r} has {what}", expected, repr(found)[:120])

    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise bad("a bad entry", "an object with dtype, shape, data_offsets", entry)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ITEM_BITS:
        raise bad("an unknown dtype", f"one of {', '.join(_ITEM_BITS)}", dtype)
    if not _naturals(shape) or len(shape) > _MAX_AXES:
        raise bad("a bad shape", f"at most {_MAX_AXES} integers of 63 bits, none negative", shape)
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise bad("bad offsets", "begin and end, neither negative", offsets)
    nbytes = offsets[1] - offsets[0]
    if math.prod(shape) * _ITEM_BITS[dtype] != nbytes * 8:
        wanted = math.prod(shape) * _ITEM_BITS[dtype] // 8
        raise bad("offsets that disagree with its shape and dtype", f"{wanted} bytes", nbytes)
    return StoredTensor(name, dtype, tuple(shape), path, data_offset + offsets[0], nbytes)


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < _TOO_LARGE for item in value
    )


def _check_layout(path: Path, ordered: list[StoredTensor], data_offset: int, size: int) -> None:
    end = max((tensor.offset + tensor.nbytes for tensor in ordered), default=data_offset)
    if end > size:
        raise _truncated(path, f"{end} bytes of header and tensors", size)
    for before, after in itertools.pairwise(ordered):
        if before.offset + before.nbytes > after.offset:
            raise _bad(path, f"tensors {before.name!r} and {after.name!r} overlap")
        if before.offset + before.nbytes < after.offset:
            raise _bad(path, f"a hole between tensors {before.name!r} and {after.name!r}")
    if ordered and ordered[0].offset != data_offset:
        raise _bad(path, f"a hole before tensor {ordered[0].name!r}")
    if end != size:
        raise _bad(path, "bytes after the last tensor", f"{end} bytes", f"{size} bytes")


def _weight(tensor: StoredTensor) -> Weight:
    if tensor.dtype.lower() not in {kind.value for kind in FloatType}:
        raise UnsupportedConfigError(
            f"tensor {tensor.name!r} of {tensor.path.name} is stored as {tensor.dtype}",
            expected="F32, F16 or BF16",
            remedy="convert from the original, unquantized checkpoint",
        )
    dtype = FloatType(tensor.dtype.lower())
    return FileWeight(tensor.name, tensor.shape, dtype, tensor.path, tensor.offset)


def _bad(
    path: Path, what: str, expected: str | None = None, found: str | None = None
) -> BadHeaderError:
    return BadHeaderError(f"{path}: {what}", expected=expected, found=found, remedy=_REMEDY)


def _truncated(path: Path, expected: str, size: int) -> TruncatedFileError:
    return TruncatedFileError(
        f"{path} ends too early", expected=expected, found=f"{size} bytes", remedy=_REMEDY
    )
