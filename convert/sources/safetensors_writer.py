"""Writes safetensors files piece by piece: the header first, then the data as it comes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.weights import FloatType, Rows

INDEX_NAME = "model.safetensors.index.json"
SHARD_BYTES = 5_000_000_000


@dataclass(frozen=True)
class Entry:
    """A tensor to be written: what the header says of it."""

    name: str
    shape: tuple[int, ...]
    dtype: FloatType

    @property
    def nbytes(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize


def header_bytes(entries: Sequence[Entry]) -> bytes:
    """The length and JSON header of a file that holds ``entries`` in this order.

    Format: https://huggingface.co/docs/safetensors. The data begins at a multiple of 8.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for entry in entries:
        header[entry.name] = {
            "dtype": entry.dtype.value.upper(),
            "shape": list(entry.shape),
            "data_offsets": [offset, offset + entry.nbytes],
        }
        offset += entry.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def shards_of(entries: Iterable[Entry], shard_bytes: int = SHARD_BYTES) -> list[list[Entry]]:
    """Cut ``entries`` into runs of at most ``shard_bytes``; a larger tensor stands alone."""
    shards: list[list[Entry]] = [[]]
    size = 0
    for entry in entries:
        if shards[-1] and size + entry.nbytes > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(entry)
        size += entry.nbytes
    return shards


def write_checkpoint(
    folder: Path,
    entries: Sequence[Entry],
    chunks: Callable[[str], Iterator[Rows]],
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write ``entries`` into ``folder`` as one file, or as shards with an index.

    Args:
        folder: An existing folder.
        entries: The tensors, in the order of the files.
        shard_bytes: Most data bytes of one file.
        chunks: Yields the rows of a tensor, by name, in the entry's dtype.
    """
    shards = shards_of(entries, shard_bytes)
    names = ["model.safetensors"]
    if len(shards) > 1:
        names = [
            f"model-{n:05d}-of-{len(shards):05d}.safetensors" for n in range(1, len(shards) + 1)
        ]
    for name, shard in zip(names, shards, strict=True):
        with (folder / name).open("wb") as file:
            file.write(header_bytes(shard))
            for entry in shard:
                for rows in chunks(entry.name):
                    file.write(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": sum(entry.nbytes for entry in entries)},
            "weight_map": {
                entry.name: name
                for name, shard in zip(names, shards, strict=True)
                for entry in shard
            },
        }
        (folder / INDEX_NAME).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
