"""A model as what is traced: a function from the inputs of a graph to its logits."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convert.graph import ATTENTION_MASK, INPUT_IDS, POSITION_IDS
from convert.importing.stated_numbers import stating_numbers
from convert.importing.traced_cache import traced_cache

_CACHE = "past_key_values"

_MAKES_POSITIONS = "create_position_ids_from_input_ids"
"""Method of embeddings that number tokens by themselves, the first after their padding's id."""

_PROBED = 5
"""Tokens that such a method is asked about."""


def traced_module(model: Any, *, remembers: bool) -> Any:
    """The module.

    Args:
        model: Of transformers, with a head.
        remembers: Whether it is given a cache, so that it runs as in the middle of a text.
    """
    import torch

    taken = inspect.signature(type(model).forward).parameters
    first = _first_position(model)

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, position_ids: Any) -> Any:
            inputs = {INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask}
            if POSITION_IDS in taken:
                inputs[POSITION_IDS] = position_ids + first if first else position_ids
            if _CACHE in taken and remembers:
                inputs[_CACHE] = traced_cache(attention_mask.shape[1], input_ids.shape[1])
            with stating_numbers(), _trusting_numbers():
                return self.model(**inputs, use_cache=False, return_dict=True).logits

    return Logits().eval()


@contextmanager
def _trusting_numbers() -> Iterator[None]:
    """Distributions do not look whether their arguments are valid: a trace has no numbers."""
    from torch.distributions import Distribution

    usual = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(usual)


def _first_position(model: Any) -> int:
    """The position that a model gives to the first token when it is not told positions."""
    import torch

    for module in model.modules():
        makes, padding = getattr(module, _MAKES_POSITIONS, None), getattr(module, "padding_idx", 0)
        if makes is None or padding is None:
            continue
        ids = torch.full((1, _PROBED), padding + 1)
        found = makes(ids, padding)[0].tolist()
        if found == list(range(found[0], found[0] + _PROBED)):
            return int(found[0])
    return 0
