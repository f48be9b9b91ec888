"""A comparison as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from convert.differences.comparison import Comparison, absent_as_none
from convert.differences.subjects import Tensor
from convert.differences.values import short
from convert.hashing import FileRecord

SHOWN = 20
"""Lines of a section for people, if not all are asked for."""


def as_json(found: Comparison) -> str:
    """Everything, as one JSON object; pairs are lists of two, null where there is nothing."""
    document = {
        "same": found.is_same,
        "subjects": [
            {"name": one.name, "kind": one.kind, "bytes": one.nbytes, "tensors": len(one.tensors)}
            for one in found.subjects
        ],
        "parts": {
            part: {
                one.place: [absent_as_none(one.before), absent_as_none(one.after)]
                for one in changed
            }
            for part, changed in found.parts.items()
        },
        "files": {
            path: [None if file is None else file.model_dump() for file in pair]
            for path, pair in found.files.items()
        },
        "encodings": {
            one.encoding: {"tensors": list(one.tensors), "bytes": list(one.nbytes)}
            for one in found.encodings
        },
        "tensors": {
            name: [_tensor_json(tensor) for tensor in pair] for name, pair in found.tensors.items()
        },
        "gate": {
            name: {"figures": list(pair), "delta": _delta(pair)}
            for name, pair in found.gate.items()
        },
        "errors": {name: list(pair) for name, pair in found.errors.items()},
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


def as_text(found: Comparison, *, shown: int | None = SHOWN) -> str:
    """A section for each thing that differs.

    Args:
        shown: Lines of a section, at most; None shows all.
    """
    one, other = found.subjects
    lines = [
        f"{side}  {subject.name} ({subject.kind}): {subject.nbytes:,} bytes in "
        f"{len(subject.files)} files, {len(subject.tensors)} tensors"
        for side, subject in (("A", one), ("B", other))
    ]
    if found.is_same:
        return "\n".join([*lines, "", "nothing differs"])
    if (one.manifest is None) != (other.manifest is None):
        lines.append("only one of them has a manifest; recipe, source and gate are not compared")
    sections = (
        *((part, [_change(change) for change in changed]) for part, changed in found.parts.items()),
        ("files", list(_files(found))),
        ("encodings", list(_encodings(found))),
        ("tensors", [_tensor(*item) for item in found.tensors.items()]),
        ("gate figures", [_figure(*item) for item in found.gate.items()]),
        ("divergence by tensor, nats", [_figure(*item) for item in found.errors.items()]),
    )
    for title, said in sections:
        if said:
            cut = said if shown is None else said[:shown]
            more = [f"  and {len(said) - len(cut)} more"] if len(cut) < len(said) else []
            lines += ["", title, *(f"  {line}" for line in cut), *more]
    return "\n".join(lines)


def _change(change: Any) -> str:
    place = f"{change.place}: " if change.place else ""
    return f"{place}{short(change.before)} -> {short(change.after)}"


def _files(found: Comparison) -> Iterator[str]:
    one, other = found.subjects
    if found.files:
        same = len(one.files.keys() & other.files.keys() - found.files.keys())
        delta = other.nbytes - one.nbytes
        yield f"{same} alike, {len(found.files)} not; {_change_in_bytes(one.nbytes, delta)}"
    for path, pair in found.files.items():
        yield f"{path}: {_file(pair[0])} -> {_file(pair[1])}"


def _file(file: FileRecord | None) -> str:
    return "(absent)" if file is None else f"{file.size:,} bytes, sha256 {file.sha256[:12]}"


def _encodings(found: Comparison) -> Iterator[str]:
    for one in found.encodings:
        (before, after), (size, size_after) = one.tensors, one.nbytes
        if (before, size) != (after, size_after):
            counts = f"{before} -> {after} tensors"
            yield f"{one.encoding}: {counts}, {_change_in_bytes(size, size_after - size)}"


def _change_in_bytes(before: int, delta: int) -> str:
    share = f" ({delta / before:+.1%})" if before else ""
    return f"{before:,} -> {before + delta:,} bytes, {delta:+,}{share}"


def _tensor(name: str, pair: tuple[Tensor | None, Tensor | None]) -> str:
    one, other = pair
    if one is None or other is None or one.shape != other.shape:
        return f"{name}: {_stored(one)} -> {_stored(other)}"
    return f"{name}: {one.encoding} -> {other.encoding}, {one.nbytes:,} -> {other.nbytes:,} bytes"


def _stored(tensor: Tensor | None) -> str:
    if tensor is None:
        return "(absent)"
    shape = " x ".join(map(str, tensor.shape)) or "scalar"
    return f"{tensor.encoding} {shape}, {tensor.nbytes:,} bytes"


def _tensor_json(tensor: Tensor | None) -> dict[str, Any] | None:
    if tensor is None:
        return None
    return {"shape": list(tensor.shape), "encoding": tensor.encoding, "bytes": tensor.nbytes}


def _figure(name: str, pair: tuple[float | None, float | None]) -> str:
    delta = _delta(pair)
    said = " -> ".join("not measured" if value is None else f"{value:.6g}" for value in pair)
    if delta is None:
        return f"{name}: {said}"
    share = f" ({delta / abs(pair[0]):+.1%})" if pair[0] else ""
    return f"{name}: {said}, {delta:+.3g}{share}"


def _delta(pair: tuple[float | None, float | None]) -> float | None:
    before, after = pair
    return None if before is None or after is None else float(f"{after - before:.6g}")
