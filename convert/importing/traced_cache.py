"""The cache that a model is traced with: what it remembers, and how much of it there is.

A model runs as it does in the middle of a text: of ``T`` slots the last ``S`` are new. Keys and
values that it puts into its cache come out with all slots; in the trace that is one operator.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from convert.errors import UnsupportedArchitectureError
from convert.importing.operators import NAME


class StateOfItsOwnError(UnsupportedArchitectureError):
    """A model remembers something that no cache of keys and values holds."""


_CACHED = "(Tensor new, SymInt total) -> Tensor"


@cache
def register_cached() -> None:
    """Define the operator; once a process."""
    import torch

    def untraced(*_: Any) -> Any:
        raise AssertionError("only traced")

    cached = torch.library.custom_op(f"{NAME}::cached", untraced, mutates_args=(), schema=_CACHED)

    @cached.register_fake
    def _(new: Any, total: Any) -> Any:
        return new.new_empty((*new.shape[:2], total, *new.shape[3:]))


def traced_cache(total: Any, tokens: Any) -> Any:
    """A cache of transformers that is never filled.

    Args:
        total: Number of slots, new ones included.
        tokens: Number of new ones.
    """
    import torch
    from transformers.cache_utils import Cache

    register_cached()

    class TracedCache(Cache):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(layers=[])
            self.shared_layers: dict[Any, Any] = {}

        def update(self, key: Any, value: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            for each in (key, value):
                if each.dim() != 4:
                    raise _state_of_its_own(f"a cache of tensors with {each.dim()} axes")
            cached = torch.ops.tricast.cached
            return cached(key, total), cached(value, total)

        def get_seq_length(self, layer_idx: int = 0) -> Any:
            return total - tokens

        def get_query_offset(self, layer_idx: int = 0) -> Any:
            return total - tokens

        def get_mask_sizes(self, query_length: Any, layer_idx: int = 0) -> tuple[Any, int]:
            return total, 0

        @property
        def is_compileable(self) -> bool:
            return False

        def _refuse(self, *_: Any, **__: Any) -> Any:
            raise _state_of_its_own("a recurrent state or an index of keys")

        update_conv_state = update_recurrent_state = update_indexer = _refuse
        get_conv_state = get_recurrent_state = has_previous_state = _refuse

    return TracedCache()


def _state_of_its_own(found: str) -> StateOfItsOwnError:
    return StateOfItsOwnError(
        "layers of the model remember more than keys and values",
        expected="attention that caches keys and values",
        found=found,
    )
