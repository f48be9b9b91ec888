"""Which tensors of a checkpoint are a model's parameters, by transformers' own mapping of names.

While loading, transformers 5 renames tensors and joins or splits some, see
``conversion_mapping.py`` and ``core_model_loading.py`` of the package. The same is done here, to
weights that nobody has read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from convert.importing.conversions import converted
from convert.importing.describing import is_ignored, tied_names
from convert.importing.expert_parts import in_parts
from convert.importing.skeleton import Skeleton
from convert.importing.stacking import renamed
from convert.importing.unread import unread_names
from convert.weights import Weight


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
        Those too that no parameter is: refusing them is for whoever compares. Not those that the
        model has and no text reaches.

    Raises:
        UnsupportedArchitectureError: Tensors are combined in a way that is not implemented.
    """
    unread = unread_names(model)
    known = {*names, *tied_names(model), *unread}
    kept = _counted(model, in_parts(model, weights), known)
    if not kept.keys() <= known:
        kept = _counted(model, in_parts(model, _mapped(skeleton(), kept)), known)
    kept = {name: each for name, each in kept.items() if name not in unread}
    for alias, name in tied_names(model).items():
        if alias in kept and name not in kept:
            kept[name] = renamed(kept.pop(alias), name)
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
        new_name, pattern = rename_source_key(name, renamings, converters, prefix, state)
        if pattern is None:
            found[new_name] = renamed(weight, new_name)
            continue
        converter = next(each for each in converters if pattern in each.source_patterns)
        group = groups.setdefault((id(converter), new_name), _Group(converter, new_name))
        group.sources.setdefault(pattern, []).append(weight)
    for group in groups.values():
        converter = group.converter
        sources = {
            pattern: group.sources[pattern]
            for pattern in converter.source_patterns
            if pattern in group.sources
        }
        found |= converted(converter.operations, sources, converter.target_patterns, group.first)
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
