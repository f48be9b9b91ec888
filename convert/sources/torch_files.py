"""Reads PyTorch's zip files (pytorch_model*.bin) where their bytes lie, running no code in them.

The pickle is read by ``torch.load(weights_only=True)`` onto the meta device: names, shapes and
offsets, no data. Format: https://pytorch.org/docs/stable/notes/serialization.html.
"""

from __future__ import annotations

import math
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from convert.errors import (
    BadHeaderError,
    MissingFileError,
    TensorMismatchError,
    TruncatedFileError,
    UnsafePickleError,
    UnsupportedConfigError,
    UnsupportedError,
)
from convert.sources.pickle_size import check_pickle
from convert.sources.shards import check_promised, read_index
from convert.weights import FileWeight, FloatType, Rows, Weight

if TYPE_CHECKING:
    from torch import Tensor

SINGLE_NAME = "pytorch_model.bin"
INDEX_NAME = "pytorch_model.bin.index.json"
_ZIP_MAGIC = b"PK\x03\x04"
_LOCAL_HEADER_BYTES = 30
# What zipfile raises on damaged archives; UnicodeDecodeError is a ValueError.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RuntimeError,
    ValueError,
    OSError,
    EOFError,
)
_DTYPES = {
    "torch.float32": FloatType.F32,
    "torch.float16": FloatType.F16,
    "torch.bfloat16": FloatType.BF16,
}
_REMEDY = "download the file again"
_SAVE_AGAIN = "take the safetensors form of the checkpoint, or save it with a current PyTorch"


@dataclass(frozen=True)
class StridedWeight(Weight):
    """A weight that lies in one file, but not row-major (a saved transpose, for instance).

    Args:
        name: Name of the tensor in the checkpoint.
        shape: At least one axis.
        dtype: Storage type.
        path: The file.
        offset: Byte offset of the first element in the file.
        strides: Elements between neighbours along each axis.
    """

    name: str
    shape: tuple[int, ...]
    dtype: FloatType
    path: Path
    offset: int
    strides: tuple[int, ...]

    def read_rows(self, start: int, stop: int) -> Rows:
        first = self.offset + start * self.strides[0] * self.dtype.itemsize
        shape = (stop - start, *self.shape[1:])
        span = _span(shape, self.strides)
        # A mapping beyond the end of a file would end the process instead of raising.
        if first + span * self.dtype.itemsize > self.path.stat().st_size:
            raise TruncatedFileError(
                f"{self.path} ends inside tensor {self.name!r}", remedy=_REMEDY
            )
        if not span:
            return np.empty((stop - start, self.columns), self.dtype.numpy)
        mapped = np.memmap(self.path, np.uint8, "r", first, (span * self.dtype.itemsize,))
        elements = np.asarray(mapped).view(self.dtype.numpy)
        strides = [stride * self.dtype.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(elements, shape, strides, writeable=False)
        return np.array(view, order="C").reshape(stop - start, self.columns)


def find_files(folder: Path) -> dict[str, tuple[str, ...]] | None:
    """The pickles of a checkpoint folder with the tensors the index promises.

    Returns:
        File name -> tensor names (empty for a single file); None if the folder has no pickle.

    Raises:
        UnsafePathError: The index points outside the folder.
        BadHeaderError: The index cannot be parsed.
        MissingFileError: There are shards but no index.
    """
    if (folder / INDEX_NAME).is_file():
        return read_index(folder / INDEX_NAME)
    if (folder / SINGLE_NAME).is_file():
        return {SINGLE_NAME: ()}
    found = sorted(path.name for path in folder.glob("pytorch_model*.bin"))
    if not found:
        return None
    raise MissingFileError(
        f"{folder} has shards but no index",
        expected=INDEX_NAME,
        found=f"{len(found)} files, {found[0]} the first",
        remedy="download the index too",
    )


def open_weights(
    folder: Path, files: Mapping[str, tuple[str, ...]], skip: Callable[[str], bool]
) -> dict[str, Weight]:
    """Every tensor of the files as a lazy weight, but for those whose names are to be skipped.

    Raises:
        UnsafePickleError: A pickle holds more than tensors; nothing of it was executed.
        TensorMismatchError: Index and shards disagree, or two shards hold the same tensor.
        UnsupportedError: A form of PyTorch file or a dtype that cannot be read.
        BrokenInputError: A file is missing, truncated or contradicts itself.
    """
    weights: dict[str, Weight] = {}
    for name, promised in files.items():
        path = folder / name
        records = _records(path)
        tensors = _load_on_meta(path)
        check_promised(path, promised, tensors)
        for key, tensor in tensors.items():
            if key in weights:
                raise TensorMismatchError(
                    f"tensor {key!r} is in two files of {folder}",
                    remedy="remove files that do not belong to the checkpoint",
                )
            if not skip(key):
                weights[key] = _weight(path, key, tensor, records)
    return weights


def _records(path: Path) -> dict[int, int]:
    """Offset and size of every uncompressed record of the archive."""
    if not path.is_file():
        raise MissingFileError(f"no file {path}", remedy=_REMEDY)
    with path.open("rb") as file:
        if file.read(4) != _ZIP_MAGIC:
            raise UnsupportedError(
                f"{path} is not in PyTorch's zip format",
                expected="a file saved by PyTorch 1.6 or later",
                remedy=_SAVE_AGAIN,
            )
        try:
            byte_order, records = _directory(file)
        except _ZIP_ERRORS as error:
            raise TruncatedFileError(
                f"{path} is cut short or damaged", found=str(error), remedy=_REMEDY
            ) from error
    if byte_order != b"little":
        raise UnsupportedError(f"{path} was saved on a big-endian machine", remedy=_SAVE_AGAIN)
    return records


def _directory(file: BinaryIO) -> tuple[bytes, dict[int, int]]:
    """The archive's byte order, and offset and size of its uncompressed records."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _check_members(members, os.fstat(file.fileno()).st_size)
        orders = [member for member in members if member.filename.endswith("/byteorder")]
        byte_order = archive.read(orders[0]) if orders else b"little"
    records = {}
    for member in members:
        file.seek(member.header_offset)
        local = file.read(_LOCAL_HEADER_BYTES)
        names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
        if member.compress_type == zipfile.ZIP_STORED:
            records[member.header_offset + _LOCAL_HEADER_BYTES + names] = member.file_size
    return byte_order, records


def _check_members(members: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Refuse an archive that says more than it holds: what is read must not outgrow the memory."""
    names = {member.filename for member in members}
    if len(names) < len(members):
        raise zipfile.BadZipFile("two files of one name")
    if sum(member.file_size for member in members) > size:
        raise zipfile.BadZipFile("files that are larger than the archive")


def _load_on_meta(path: Path) -> dict[str, Tensor]:
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".pkl"):
                    check_pickle(archive.read(member))
        state = torch.load(path, map_location="meta", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unsafe(path, _reason(error)) from error
    except Exception as error:
        # A damaged pickle can fail in any way; nothing in it was executed.
        raise BadHeaderError(
            f"{path} cannot be read as a state dict",
            found=f"{type(error).__name__}: {error}"[:160],
            remedy=_REMEDY,
        ) from error
    if not isinstance(state, dict):
        raise _unsafe(path, f"a {type(state).__name__}")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise _unsafe(path, f"{name!r}: a {type(tensor).__name__}")
    return dict(state)


def _weight(path: Path, name: str, tensor: Tensor, records: Mapping[int, int]) -> Weight:
    dtype = _DTYPES.get(str(tensor.dtype))
    if dtype is None or tensor.is_sparse or tensor.is_quantized:
        raise UnsupportedConfigError(
            f"tensor {name!r} of {path.name} is stored as {tensor.dtype}",
            expected="float32, float16 or bfloat16, dense",
            remedy="convert from the original, unquantized checkpoint",
        )
    storage = tensor.untyped_storage()
    record: int = getattr(storage, "_checkpoint_offset", -1)
    first = int(tensor.storage_offset())
    shape, strides = tuple(tensor.shape), tuple(tensor.stride())
    end = (first + _span(shape, strides)) * dtype.itemsize
    if record not in records or end > records[record]:
        raise BadHeaderError(
            f"{path}: tensor {name!r} does not lie in the file's data",
            expected=f"{end} uncompressed bytes",
            found=f"{records.get(record, 0)} bytes",
            remedy=_REMEDY,
        )
    if record + records[record] > path.stat().st_size:
        raise TruncatedFileError(f"{path} ends inside tensor {name!r}", remedy=_REMEDY)
    offset = record + first * dtype.itemsize
    if tensor.is_contiguous():
        return FileWeight(name, shape, dtype, path, offset)
    return StridedWeight(name, shape, dtype, path, offset, strides)


def _span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Elements from the first to the last element, both included."""
    if not math.prod(shape):
        return 0
    return 1 + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if "nsupported" in line and "global" in line.lower()]
    return (telling or lines or [type(error).__name__])[0][:160]


def _unsafe(path: Path, found: str) -> UnsafePickleError:
    return UnsafePickleError(
        f"{path} holds more than named tensors; nothing in it was executed",
        expected="a dictionary of names and tensors",
        found=found,
        remedy="take the safetensors form of the checkpoint, from a source you trust",
    )
