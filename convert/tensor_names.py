"""h.0.… and transformer.h.0.…: a tensor of a model that was saved without its head, and with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from convert.weights import Weight

HEAD_PREFIX = "lm_head."


def with_base_prefix(weights: Mapping[str, Weight], prefix: str) -> dict[str, Weight]:
    """The weights under the names that they have in a model with a head.

    A checkpoint that was saved from the model without its head lacks the prefix throughout; one
    that has it anywhere is left as it is.

    Args:
        weights: By the names in the files; none is read.
        prefix: What the names begin with, but for the head's; empty if that is not known.
    """
    if not prefix or any(name.startswith(prefix) for name in weights):
        return dict(weights)
    renamed = {}
    for name, weight in weights.items():
        whole = name if name.startswith(HEAD_PREFIX) else prefix + name
        renamed[whole] = weight if whole == name else _renamed(weight, whole)
    return renamed


def _renamed(weight: Weight, name: str) -> Weight:
    # What a file holds is a dataclass, whichever kind of file.
    return cast("Weight", replace(cast("Any", weight), name=name))
