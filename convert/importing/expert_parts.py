"""The experts' matrices one by one, where transformers has those of a layer in one tensor.

    model.layers.0.mlp.experts.gate_up_proj  ->  model.layers.0.mlp.experts.7.gate_up_proj.weight

Names of the parts are made of the tensor's own. Which tensors a graph wants in parts is written
into its metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import onnx_ir as ir

from convert.expert_tensors import part_of
from convert.importing.stacking import ConvertedWeight, StackedWeight, renamed
from convert.weights import Weight

KEY = "tricast.parts"

_PART = re.compile(r"(.+)\.(\d+)\.(?:(\w+)\.)?(weight|bias)")


def part_pattern(name: str) -> str:
    """Names of the parts of a tensor, with braces for the number."""
    scope, _, leaf = name.rpartition(".")
    if leaf in ("weight", "bias"):
        return f"{scope}.{{}}.{leaf}"
    bias = leaf.removesuffix("_bias")
    return f"{scope}.{{}}.{leaf}.weight" if bias == leaf else f"{scope}.{{}}.{bias}.bias"


def place_of_part(name: str) -> tuple[str, int] | None:
    """The tensor that a part's name was made of, and which of its parts it is.

    >>> place_of_part("layers.0.experts.7.gate_up_proj.bias")
    ('layers.0.experts.gate_up_proj_bias', 7)
    """
    match = _PART.fullmatch(name)
    if match is None:
        return None
    scope, number, leaf, kind = match.groups()
    if leaf is None:
        return f"{scope}.{kind}", int(number)
    return f"{scope}.{leaf}" + ("_bias" if kind == "bias" else ""), int(number)


def parted(model: ir.Model) -> Mapping[str, int]:
    """By name, the tensors that a graph wants in parts, and in how many."""
    return dict(json.loads(model.metadata_props.get(KEY, "{}")))


def note_parted(model: ir.Model, counts: Mapping[str, int]) -> None:
    """Write into a graph's metadata what `parted` reads."""
    if counts:
        model.metadata_props[KEY] = json.dumps(dict(counts), sort_keys=True)


def in_parts(model: ir.Model, weights: Mapping[str, Weight]) -> dict[str, Weight]:
    """The weights, those in parts that the graph wants so; a tensor of another length stays."""
    counts, found = parted(model), dict[str, Weight]()
    for name, weight in weights.items():
        if len(weight.shape) > 1 and counts.get(name) == weight.rows:
            found |= {part.name: part for part in _parts(weight, part_pattern(name))}
        else:
            found[name] = weight
    return found


def part_names(names: Mapping[str, Any], counts: Mapping[str, int]) -> set[str]:
    """Names of parameters, those of the parts in place of those of whole tensors."""
    found = set(names) - counts.keys()
    for name, count in counts.items():
        found |= {part_pattern(name).format(number) for number in range(count)}
    return found


def _parts(weight: Weight, pattern: str) -> Iterator[Weight]:
    whole = weight.weight if isinstance(weight, ConvertedWeight) else weight
    for number in range(weight.rows):
        name = pattern.format(number)
        if isinstance(whole, StackedWeight):
            yield renamed(whole.parts[number], name)
        else:
            yield renamed(part_of(whole, name, number), name)
