"""The operators that stand for attention and its mask while a model is traced.

Transformers hands both to whoever is registered under a name. What is registered here computes
nothing: each is one node of the trace, with everything that the model said about it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from convert.errors import UnsupportedArchitectureError

NAME = "tricast"
"""Of the attention implementation, and the namespace of the operators."""

_ATTENTION = (
    "(Tensor query, Tensor key, Tensor value, Tensor mask, float scale, float softcap,"
    " Tensor? sinks=None) -> Tensor"
)
_MASK = "(Tensor attention_mask, SymInt queries, int window) -> Tensor"

# Tensors that models pass to every kind of attention, and that change nothing in ours.
_HARMLESS = frozenset({"position_ids", "cache_position", "cu_seq_lens_q", "cu_seq_lens_k"})


@cache
def register() -> None:
    """Define the operators, and tell transformers of them; once a process."""
    import torch
    from transformers import AttentionInterface, AttentionMaskInterface

    def untraced(*_: Any) -> Any:
        raise AssertionError("only traced")

    attention = torch.library.custom_op(
        f"{NAME}::attention", untraced, mutates_args=(), schema=_ATTENTION
    )
    mask = torch.library.custom_op(f"{NAME}::mask", untraced, mutates_args=(), schema=_MASK)

    @attention.register_fake
    def _(
        query: Any, key: Any, value: Any, mask: Any, scale: Any, softcap: Any, sinks: Any = None
    ) -> Any:
        return query.new_empty((*query.shape[:3], value.shape[3]))

    @mask.register_fake
    def _(attention_mask: Any, queries: Any, window: Any) -> Any:
        batch, total = attention_mask.shape
        return attention_mask.new_empty((batch, 1, queries, total), dtype=torch.bool)

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, _mask)


def _attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Any = None,
    **rest: Any,
) -> tuple[Any, None]:
    """What transformers calls instead of attention, see ``AttentionInterface`` there.

    Raises:
        UnsupportedArchitectureError: The model asks for more than scores, mask and softmax.
    """
    import torch

    for name, given in rest.items():
        if isinstance(given, torch.Tensor) and name not in _HARMLESS:
            raise _refused(module, f"attention takes a tensor {name!r}")
    if attention_mask is None:
        raise _refused(module, "attention is given no mask")
    scale = float(query.shape[-1] ** -0.5 if scaling is None else scaling)
    operator = torch.ops.tricast.attention
    mixed = operator(query, key, value, attention_mask, scale, float(softcap or 0.0), s_aux)
    return mixed.transpose(1, 2).contiguous(), None


def _mask(
    *,
    q_length: Any,
    mask_function: Callable[..., Any],
    attention_mask: Any,
    local_size: int | None = None,
    **rest: Any,
) -> Any:
    """What transformers calls instead of making a mask, see ``AttentionMaskInterface`` there."""
    import torch

    from convert.importing.mask_functions import mask_of

    if attention_mask is None:  # for an encoder that is not there; attention refuses it
        return None
    allowed = mask_of(mask_function, attention_mask, q_length, local_size)
    # Added to scores, as models expect that write their attention out.
    return torch.where(allowed, 0.0, torch.finfo(torch.float32).min)


def _refused(module: Any, reason: str) -> UnsupportedArchitectureError:
    return UnsupportedArchitectureError(f"{type(module).__name__} cannot be imported", found=reason)
