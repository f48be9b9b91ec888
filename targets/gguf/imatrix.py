"""Importance matrices of llama.cpp: sums of squares of what goes into each linear layer.

The GGUF form, as llama-imatrix writes it and llama-quantize reads it (tools/imatrix/imatrix.cpp,
common/imatrix-loader.cpp, llama.cpp 11434): for each matrix ``NAME.in_sum2`` ``[experts, inputs]``
and ``NAME.counts`` ``[experts, 1]``, the tokens that were summed over; experts is 1 but for stacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.architectures.base import DecoderConfig
from convert.errors import BrokenInputError, MissingFileError, UnsupportedError
from convert.sources.gguf_file import MAGIC, GgufFile, GgufTensor, read_gguf
from convert.weights import Floats
from targets.gguf.families import family_of
from targets.gguf.mixes import stored_names

SUMS, COUNTS = ".in_sum2", ".counts"
_EXPERT = re.compile(r"\.experts\.(\d+)\.")
_REMEDY = "make an imatrix of this very model: convert imatrix MODEL --out FILE"


@dataclass(frozen=True)
class Imatrix:
    """What a file says of a model.

    Args:
        moments: Mean squares of the inputs of linear layers, by name of the weight.
        tokens: Of the text, at most, that a layer read.
        datasets: What the file calls its texts.
    """

    moments: Mapping[str, Floats]
    tokens: int
    datasets: tuple[str, ...]


def read_imatrix(path: Path, config: DecoderConfig, parameters: Iterable[str]) -> Imatrix:
    """Read a file for a model.

    Experts that no token of its text visited are left out.

    Args:
        path: The file.
        config: Of the model.
        parameters: Their names.

    Raises:
        MissingFileError: There is no such file.
        UnsupportedError: It is none, or in the form that llama.cpp wrote before October 2025.
        BrokenInputError: It is damaged, or of another model.
    """
    _require_form(path)
    file = read_gguf(path)
    if file.value("general.type", str) != "imatrix" and not _sums(file):
        raise UnsupportedError(
            f"{path} is a GGUF, but no imatrix", expected="general.type imatrix", remedy=_REMEDY
        )
    stored = stored_names(parameters, family_of(config), config.layers)
    moments: dict[str, Floats] = {}
    tokens = 0.0
    for name, in_file in stored.items():
        if in_file + SUMS in file.tensors:
            found = _EXPERT.search(name)
            sums, count = _row(file, in_file, int(found[1]) if found else 0)
            tokens = max(tokens, count)
            if count > 0:
                moments[name] = (sums / np.float32(count)).astype(np.float32)
    if not moments:
        raise BrokenInputError(
            f"{path} is an imatrix of another model",
            expected=f"entries such as {next(iter(stored.values()), '')}{SUMS}",
            found=", ".join(list(file.tensors)[:2]) or "none",
            remedy=_REMEDY,
        )
    return Imatrix(moments, round(tokens), tuple(file.strings("imatrix.datasets")))


def _require_form(path: Path) -> None:
    if not path.is_file():
        raise MissingFileError(f"no file {path}", remedy="check the path of the imatrix")
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
    if magic != MAGIC:
        raise UnsupportedError(
            f"{path} is no imatrix in GGUF form",
            expected="a file that begins with GGUF",
            found=f"{magic!r}: perhaps the old form, a .dat",
            remedy="turn that into a GGUF with llama-imatrix --in-file OLD.dat -o NEW.gguf",
        )


def _sums(file: GgufFile) -> list[str]:
    return [name for name in file.tensors if name.endswith(SUMS)]


def _row(file: GgufFile, name: str, expert: int) -> tuple[Floats, float]:
    """Sums of squares for one matrix, and the tokens that they are over."""
    sums = _values(file, file.tensors[name + SUMS])
    if name + COUNTS not in file.tensors:
        raise BrokenInputError(f"{file.path} lacks {name}{COUNTS}", remedy=_REMEDY)
    counts = _values(file, file.tensors[name + COUNTS]).reshape(-1)
    if expert >= len(sums) or len(counts) not in (1, len(sums)):
        raise BrokenInputError(
            f"{file.path} has {len(sums)} rows of {name}{SUMS} and {len(counts)} counts",
            expected=f"a row for each expert, {expert + 1} at least, and as many counts",
            remedy=_REMEDY,
        )
    count = float(counts[min(expert, len(counts) - 1)])
    row = sums[expert]
    if not (np.isfinite(row).all() and np.isfinite(count) and min(row.min(), count) >= 0):
        raise BrokenInputError(
            f"{file.path} has sums of squares that cannot be, of {name}",
            expected="finite numbers of 0 or more",
            remedy=_REMEDY,
        )
    return row, count


def _values(file: GgufFile, tensor: GgufTensor) -> Floats:
    """A tensor of one or two axes as ``[rows, columns]``."""
    if len(tensor.shape) == 1:
        return file.read_rows(tensor, 0, tensor.shape[0]).reshape(1, -1)
    rows = int(np.prod(tensor.shape[:-1]))
    whole: Floats = file.read_rows(tensor, 0, tensor.shape[0]).reshape(rows, tensor.shape[-1])
    return whole


def write_imatrix(
    path: Path,
    sums: Mapping[str, NDArray[np.float64]],
    tokens: Mapping[str, int],
    config: DecoderConfig,
    *,
    dataset: str,
    chunk: int,
) -> tuple[str, ...]:
    """Write a file, which appears under its name only when it is complete.

    Args:
        path: The file.
        sums: Sums of squares of the inputs of linear layers, by name of the weight.
        tokens: How many they are of, by name of the weight.
        config: Of the model.
        dataset: What to call the text; no path.
        chunk: Tokens of its sequences.

    Returns:
        Names of weights that no token reached, such as experts that nothing visited.
    """
    import gguf

    names = stored_names(sums, family_of(config), config.layers)
    stacks: dict[str, dict[int, str]] = {}
    for name, stored in names.items():
        found = _EXPERT.search(name)
        stacks.setdefault(stored, {})[int(found[1]) if found else 0] = name
    experts = config.experts.count if config.experts else 0
    partial = path.with_name(f".{path.name}.partial")
    writer = gguf.GGUFWriter(partial, "imatrix")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", [dataset])
    writer.add_uint32("imatrix.chunk_count", max(1, max(tokens.values(), default=0) // chunk))
    writer.add_uint32("imatrix.chunk_size", chunk)
    for stored in sorted(stacks):
        members = stacks[stored]
        rows = experts if "_exps." in stored else 1
        counts = [tokens.get(members.get(row, ""), 0) for row in range(rows)]
        width = next(iter(sums[name].size for name in members.values()))
        squares = [
            sums[members[row]] if count else np.zeros(width) for row, count in enumerate(counts)
        ]
        writer.add_tensor(stored + SUMS, np.stack(squares).astype(np.float32))
        writer.add_tensor(stored + COUNTS, np.array(counts, np.float32)[:, None])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)
    return tuple(name for name in names if not tokens.get(name))
