"""The files of a GGUF: one, or shards named, filled and described as llama.cpp does it.

The gguf package deals the tensors out in their order: a shard takes tensors until the next would
pass the limit. The first shard carries all metadata; each says which it is of how many. Given the
first, llama.cpp finds the others by their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convert.errors import UsageError
from targets.base import OutputFile, WriteJob
from targets.gguf.file_names import FILE
from targets.gguf.header import data_offsets, shard_headers
from targets.gguf.tensors import StoredTensor

MAX_SHARDS = 500
"""llama.cpp holds all shards open while it loads; 1024 open files is what systems allow."""


def files_and_jobs(
    writer: Any, tensors: Sequence[StoredTensor]
) -> tuple[tuple[OutputFile, ...], tuple[WriteJob, ...]]:
    """The files with their sizes, and the place of each tensor.

    Args:
        writer: A gguf.GGUFWriter that has all keys, and the tensors in the same order.

    Raises:
        UsageError: There would be more shards than can be loaded.
    """
    if len(writer.tensors) > MAX_SHARDS:
        raise UsageError(
            "the shards are too small for this model",
            expected=f"at most {MAX_SHARDS} shards",
            found=f"{len(writer.tensors)} shards",
            remedy="choose a larger split_max_size",
        )
    by_name = {tensor.name: tensor for tensor in tensors}
    files: list[OutputFile] = []
    jobs: list[WriteJob] = []
    shards = zip(shard_headers(writer, FILE).items(), writer.tensors, strict=True)
    for (path, header), names in shards:
        held = [by_name[name] for name in names]
        *offsets, size = data_offsets(len(header), held)
        files.append(OutputFile(path, size, ((0, header),)))
        for each, offset in zip(held, offsets, strict=True):
            jobs += each.jobs(path, offset)
    return tuple(files), tuple(jobs)
