"""Where every tensor lies in a set of safetensors shards, known before a weight is read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from targets.base import OutputFile, Placement

MAX_SHARD_BYTES = 5_000_000_000
"""Tensor bytes of one shard at most, as transformers 4 saves; larger tensors get their own."""

_HEADER_ALIGNMENT = 8


@dataclass(frozen=True)
class StoredTensor:
    """A tensor to be stored.

    Args:
        name: Name in the checkpoint.
        dtype: As safetensors calls it: ``BF16``, ``F16``, ``F32``, ``F8_E4M3``, ...
        shape: Elements along each axis.
        nbytes: Bytes of the whole tensor.
        data: These bytes, where they are known already.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    data: bytes | None = None


@dataclass(frozen=True)
class SafetensorsLayout:
    """The files of a checkpoint, headers filled in, and the place of each tensor by name."""

    files: tuple[OutputFile, ...]
    placements: Mapping[str, Placement]

    @property
    def weight_files(self) -> tuple[str, ...]:
        """Names of the shards in order, without the index."""
        return tuple(file.path for file in self.files if file.path.endswith(".safetensors"))


def lay_out_safetensors(
    tensors: Sequence[StoredTensor], max_shard_bytes: int = MAX_SHARD_BYTES
) -> SafetensorsLayout:
    """Plan ``model.safetensors``, or shards with ``model.safetensors.index.json``.

    The format: 8 bytes length of the header (little endian), the header in JSON padded with
    spaces to a multiple of 8, then the tensors without gaps
    (https://github.com/huggingface/safetensors, section Format). Tensors of a shard lie in
    order of their names, shards are filled in the order given, as ``save_pretrained`` does.
    """
    shards = _split(tensors, max_shard_bytes)
    files: list[OutputFile] = []
    placements: dict[str, Placement] = {}
    for number, shard in enumerate(shards, start=1):
        path = _shard_name(number, len(shards))
        header = _header(shard)
        offset = len(header)
        segments = [(0, header)]
        for tensor in _file_order(shard):
            placements[tensor.name] = Placement(path, offset)
            if tensor.data is not None:
                segments.append((offset, tensor.data))
            offset += tensor.nbytes
        files.append(OutputFile(path, offset, tuple(segments)))
    if len(shards) > 1:
        files.append(_index(tensors, placements))
    return SafetensorsLayout(tuple(files), placements)


def _split(tensors: Sequence[StoredTensor], max_shard_bytes: int) -> list[list[StoredTensor]]:
    shards: list[list[StoredTensor]] = [[]]
    filled = 0
    for tensor in tensors:
        if shards[-1] and filled + tensor.nbytes > max_shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += tensor.nbytes
    return shards


def _shard_name(number: int, count: int) -> str:
    return "model.safetensors" if count == 1 else f"model-{number:05}-of-{count:05}.safetensors"


def _file_order(shard: Sequence[StoredTensor]) -> list[StoredTensor]:
    """Wide elements first, so that each is aligned; then by name."""
    return sorted(shard, key=lambda t: (-t.nbytes // max(1, math.prod(t.shape)), t.name))


def _header(shard: Sequence[StoredTensor]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in _file_order(shard):
        entries[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _HEADER_ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _index(tensors: Sequence[StoredTensor], placements: Mapping[str, Placement]) -> OutputFile:
    index = {
        "metadata": {
            "total_parameters": sum(math.prod(tensor.shape) for tensor in tensors),
            "total_size": sum(tensor.nbytes for tensor in tensors),
        },
        "weight_map": {name: place.file for name, place in placements.items()},
    }
    text = json.dumps(index, indent=2, sort_keys=True) + "\n"
    return OutputFile.whole("model.safetensors.index.json", text.encode())
