"""The tensors of an artifact by kind and by layer: bytes before and after, and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convert.manifest import TensorRecord
from convert.reporting.data import TensorData
from convert.reporting.places import NORMS, Place, kinds, place

SHOWN_KINDS = 14
OTHERS = "others"
_NOTHING = TensorData(source="", source_bytes=0)


@dataclass(frozen=True)
class KindSize:
    """Bytes of the tensors of one kind.

    Args:
        kind: See `convert.reporting.places`.
        tensors: How many.
        before: Bytes in the checkpoint; None if that is not known.
        after: Bytes in the artifact.
        encodings: Names, in order of their bytes.
    """

    kind: str
    tensors: int
    before: int | None
    after: int
    encodings: tuple[str, ...]


@dataclass(frozen=True)
class ErrorMap:
    """The largest error at each place: ``values[kind][layer]``, None where there is no tensor."""

    kinds: tuple[str, ...]
    layers: tuple[int, ...]
    values: tuple[tuple[float | None, ...], ...]


def sizes(tensors: Sequence[TensorRecord], data: Mapping[str, TensorData]) -> tuple[KindSize, ...]:
    """Bytes by kind, in order of the first of each; small kinds are taken together if many."""
    groups: dict[str, list[TensorRecord]] = {}
    for tensor in tensors:
        kind = NORMS if tensor.role == "other" else place(tensor.name).kind
        groups.setdefault(kind, []).append(tensor)
    largest = sorted(groups, key=lambda kind: -sum(one.bytes for one in groups[kind]))
    small = set(largest[SHOWN_KINDS - 1 :]) if len(largest) > SHOWN_KINDS else set()
    rest = [tensor for kind in groups if kind in small for tensor in groups[kind]]
    shown = {kind: group for kind, group in groups.items() if kind not in small}
    if rest:
        shown[OTHERS] = [*shown.get(OTHERS, ()), *rest]
    return tuple(_size(kind, group, data) for kind, group in shown.items())


def error_map(tensors: Sequence[TensorRecord], data: Mapping[str, TensorData]) -> ErrorMap | None:
    """Errors of what is in layers and not stored exactly; None if there is no such tensor."""
    errors: dict[Place, float] = {}
    for tensor in tensors:
        error, at = data.get(tensor.name, _NOTHING).error, place(tensor.name)
        if error is not None and at.layer is not None and tensor.role != "other":
            errors[at] = max(error, errors.get(at, 0.0))
    if not any(errors.values()):
        return None
    rows, layers = kinds(errors), sorted({at.layer for at in errors if at.layer is not None})
    values = tuple(tuple(errors.get(Place(layer, kind)) for layer in layers) for kind in rows)
    return ErrorMap(rows, tuple(layers), values)


def worst(
    tensors: Sequence[TensorRecord], data: Mapping[str, TensorData], count: int
) -> tuple[tuple[TensorRecord, float], ...]:
    """The tensors that differ most from the original's, with their errors."""
    known = [(one, data.get(one.name, _NOTHING).error) for one in tensors]
    found = [(one, error) for one, error in known if error]
    return tuple(sorted(found, key=lambda pair: -pair[1])[:count])


def _size(kind: str, group: Sequence[TensorRecord], data: Mapping[str, TensorData]) -> KindSize:
    by_encoding: dict[str, int] = {}
    for tensor in group:
        by_encoding[tensor.encoding] = by_encoding.get(tensor.encoding, 0) + tensor.bytes
    known = [data[one.name].source_bytes for one in group if one.name in data]
    return KindSize(
        kind,
        len(group),
        sum(known) if len(known) == len(group) else None,
        sum(by_encoding.values()),
        tuple(sorted(by_encoding, key=lambda name: (-by_encoding[name], name))),
    )
