"""Which tensors of a checkpoint are a model's parameters, by transformers' own mapping of names.

While loading, transformers 5 renames tensors and joins or splits some, see
``conversion_mapping.py`` and ``core_model_loading.py`` of the package. The same is done here, to
weights that nobody has read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import onnx_ir as ir

from convert.errors import UnsupportedArchitectureError
from convert.importing.describing import is_ignored, tied_names
from convert.importing.skeleton import Skeleton
from convert.weights import RowRange, RowRanges, Weight


def bound(
    model: ir.Model, names: Sequence[str], weights: Mapping[str, Weight], skeleton: Any
) -> dict[str, Weight]:
    """The weights of a checkpoint by the names of a graph's parameters.

    Args:
        model: The graph.
        names: Of its parameters.
        weights: By the names in the checkpoint.
        skeleton: Makes the model, whose mapping is asked for where names are not the graph's own.

    Returns:
        Those too that no parameter is: refusing them is for whoever compares.

    Raises:
        UnsupportedArchitectureError: Tensors are combined in a way that is not implemented.
    """
    known = {*names, *tied_names(model)}
    kept = _counted(model, weights, known)
    if not kept.keys() <= known:
        kept = _counted(model, _mapped(skeleton(), kept), known)
    for alias, name in tied_names(model).items():
        if alias in kept and name not in kept:
            kept[name] = _renamed(kept.pop(alias), name)
    return kept


def _counted(model: ir.Model, weights: Mapping[str, Weight], known: set[str]) -> dict[str, Weight]:
    """Those that are parameters, or that transformers would miss the place of."""
    return {
        name: each for name, each in weights.items() if name in known or not is_ignored(model, name)
    }


def _mapped(skeleton: Skeleton, weights: Mapping[str, Weight]) -> dict[str, Weight]:
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, rename_source_key

    model = skeleton.model
    transforms = get_model_conversion_mapping(model)
    converters = [each for each in transforms if isinstance(each, WeightConverter)]
    renamings = [each for each in transforms if not isinstance(each, WeightConverter)]
    state, prefix = model.state_dict(), model.base_model_prefix
    found: dict[str, Weight] = {}
    groups: dict[tuple[int, str], _Group] = {}
    for name, weight in weights.items():
        renamed, pattern = rename_source_key(name, renamings, converters, prefix, state)
        if pattern is None:
            found[renamed] = weight if renamed == name else _renamed(weight, renamed)
            continue
        converter = next(each for each in converters if pattern in each.source_patterns)
        group = groups.setdefault((id(converter), renamed), _Group(converter, renamed))
        group.sources.setdefault(pattern, []).append(weight)
    for group in groups.values():
        found |= _converted(group)
    return found


@dataclass
class _Group:
    """Tensors that become others together.

    Args:
        converter: What transformers does with them.
        first: Name of the first result.
        sources: By the pattern that each fits.
    """

    converter: Any
    first: str
    sources: dict[str, list[Weight]] = field(default_factory=dict)


def _converted(group: _Group) -> dict[str, Weight]:
    """What a group becomes: several tensors one below the other, or one cut into equal parts."""
    converter = group.converter
    kinds = [(type(each).__name__, getattr(each, "dim", 0)) for each in converter.operations]
    sources = [
        each for pattern in converter.source_patterns for each in group.sources.get(pattern, [])
    ]
    if kinds == [("Concatenate", 0)] and len(sources) == len(converter.source_patterns):
        ranges = tuple(RowRange(each, 0, each.rows) for each in sources)
        return {group.first: RowRanges(group.first, ranges)}
    if kinds == [("Chunk", 0)] and len(sources) == 1:
        return _chunks(sources[0], converter.target_patterns, group.first)
    raise UnsupportedArchitectureError(
        "tensors of the checkpoint are combined in a way that is not implemented",
        expected="tensors one below the other, or cut into equal parts",
        found=f"{', '.join(name for name, _ in kinds)} of {', '.join(e.name for e in sources)}",
    )


def _chunks(source: Weight, targets: Sequence[str], first: str) -> dict[str, Weight]:
    rows, left = divmod(source.rows, len(targets))
    if left or targets[0] not in first:
        raise UnsupportedArchitectureError(
            f"{source.name} cannot be cut into {len(targets)} parts", found=str(source.shape)
        )
    names = [first.replace(targets[0], each) for each in targets]
    return {
        name: RowRanges(name, (RowRange(source, place * rows, (place + 1) * rows),))
        for place, name in enumerate(names)
    }


def _renamed(weight: Weight, name: str) -> Weight:
    # What a file holds is a dataclass, whichever kind of file.
    return cast("Weight", replace(cast("Any", weight), name=name))
