"""Compares two subjects: recipe, source, versions, files, encodings, tensors, gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.differences.subjects import Subject, Tensor, read_pair
from convert.differences.values import ABSENT, Change, changes
from convert.gate_figures import gate_figures
from convert.hashing import FileRecord

PARTS = (
    "artifact", "target", "recipe", "run", "source", "versions", "calibration", "weighting",
    "imatrix", "calibrated", "gate", "notes",
)  # fmt: skip
"""Of a manifest, those that are compared value by value; the others have a form of their own."""


@dataclass(frozen=True)
class EncodingSums:
    """Tensors of one encoding, and their bytes, on both sides."""

    encoding: str
    tensors: tuple[int, int]
    nbytes: tuple[int, int]


@dataclass(frozen=True)
class Comparison:
    """How two subjects differ; every pair is (first, second).

    Args:
        subjects: What was compared.
        parts: By part of the manifest, what changed in it; only those that differ.
        files: Paths, with their sizes and hashes; None where there is no such file.
        encodings: Every encoding of either side.
        tensors: Names, with what is stored; only those that differ, None where there is none.
        gate: Figures, None where it was not measured; only those that differ.
        errors: By tensor that both sides measured, the divergence in nats that storing it so costs
            at the logits; only mixes measure that. The worst stored tensor is among ``gate``.
    """

    subjects: tuple[Subject, Subject]
    parts: Mapping[str, tuple[Change, ...]]
    files: Mapping[str, tuple[FileRecord | None, FileRecord | None]]
    encodings: tuple[EncodingSums, ...]
    tensors: Mapping[str, tuple[Tensor | None, Tensor | None]]
    gate: Mapping[str, tuple[float | None, float | None]]
    errors: Mapping[str, tuple[float, float]]

    @property
    def is_same(self) -> bool:
        """Whether nothing differs, names of folders aside."""
        return not (self.parts or self.files or self.tensors or self.gate or self.errors)


def compare(first: Path, second: Path) -> Comparison:
    """Compare two artifacts, manifests, or files and folders that `convert inspect` reads.

    Raises:
        UnavailableSourceError: There is nothing at a path, or nothing that is known.
        BrokenInputError: One is damaged.
    """
    one, other = read_pair(first, second)
    return Comparison(
        (one, other),
        _parts(one, other),
        _differing(one.files, other.files),
        tuple(_encodings(one, other)),
        _differing(one.tensors, other.tensors),
        _gate(one, other),
        _errors(one, other),
    )


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = (*one, *(name for name in other if name not in one))
    pairs = {name: (one.get(name), other.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _parts(one: Subject, other: Subject) -> dict[str, tuple[Change, ...]]:
    if one.manifest is None or other.manifest is None:
        return {}
    documents = [each.model_dump(mode="json") for each in (one.manifest, other.manifest)]
    for document in documents:
        # A list of files that grows by one would otherwise be told as a whole.
        files = document["source"]["files"]
        document["source"]["files"] = {file["path"]: file["sha256"] for file in files}
        document["gate"].pop("result")  # its figures are compared as numbers
        document["gate"].pop("weight_error")
    found = {part: tuple(changes(*(each[part] for each in documents))) for part in PARTS}
    return {part: changed for part, changed in found.items() if changed}


def _encodings(one: Subject, other: Subject) -> Iterator[EncodingSums]:
    sums: dict[str, list[list[int]]] = {}
    for side, subject in enumerate((one, other)):
        for tensor in subject.tensors.values():
            counts, sizes = sums.setdefault(tensor.encoding, [[0, 0], [0, 0]])
            counts[side] += 1
            sizes[side] += tensor.nbytes
    largest = sorted(sums.items(), key=lambda item: (-max(item[1][1]), item[0]))
    for encoding, (counts, sizes) in largest:
        yield EncodingSums(encoding, (counts[0], counts[1]), (sizes[0], sizes[1]))


def _gate(one: Subject, other: Subject) -> dict[str, tuple[float | None, float | None]]:
    if one.manifest is None or other.manifest is None:
        return {}
    return _differing(gate_figures(one.manifest.gate), gate_figures(other.manifest.gate))


def _errors(one: Subject, other: Subject) -> dict[str, tuple[float, float]]:
    mixes = [side.manifest.mix if side.manifest else None for side in (one, other)]
    if mixes[0] is None or mixes[1] is None:
        return {}
    both = mixes[0].costs.keys() & mixes[1].costs.keys()
    costs = ({name: mix.costs[name] for name in sorted(both)} for mix in mixes if mix is not None)
    return _differing(*costs)


def absent_as_none(value: Any) -> Any:
    """A value of a change for JSON."""
    return None if value is ABSENT else value
