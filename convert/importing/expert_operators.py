"""The operator that stands for a layer's experts while a model is traced.

Transformers hands tokens and routing to whoever is registered under a name. What is registered
here puts the tokens in the order of their experts; products with the experts' matrices, which
differ from token to token, are one node each, and all between them is traced as it is.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from convert.errors import UnsupportedArchitectureError
from convert.importing.operators import NAME

_LINEAR = "(Tensor x, Tensor visits, Tensor weight, Tensor? bias, bool turned) -> Tensor"


@cache
def register_experts() -> None:
    """Define the operator, and tell transformers of it; once a process."""
    import torch
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

    def untraced(*_: Any) -> Any:
        raise AssertionError("only traced")

    linear = torch.library.custom_op(
        f"{NAME}::expert_linear", untraced, mutates_args=(), schema=_LINEAR
    )

    @linear.register_fake
    def _(x: Any, visits: Any, weight: Any, bias: Any, turned: Any) -> Any:
        return x.new_empty((x.shape[0], weight.shape[2 if turned else 1]))

    ALL_EXPERTS_FUNCTIONS.register(NAME, _visit)


def _visit(module: Any, hidden_states: Any, top_k_index: Any, top_k_weights: Any) -> Any:
    """What transformers calls instead of a layer's experts, see ``ExpertsInterface`` there.

    Args:
        module: That holds the matrices, one below the other along a first axis.
        hidden_states: All tokens, ``[N, hidden]``.
        top_k_index: Which experts each visits, ``[N, K]``.
        top_k_weights: What each of these counts, ``[N, K]``.

    Raises:
        UnsupportedArchitectureError: The tokens are not in a matrix.
    """
    import torch

    if hidden_states.dim() != 2 or top_k_index.dim() != 2:
        raise UnsupportedArchitectureError(
            f"{type(module).__name__} cannot be imported",
            expected="experts that are given a matrix of tokens",
            found=f"{hidden_states.dim()} axes",
        )
    used, hidden = top_k_index.shape[1], hidden_states.shape[1]
    visits = top_k_index.reshape(-1)
    order = visits.argsort(stable=True)
    visitors = torch.div(order, used, rounding_mode="trunc")
    y = _linear(module, "gate_up_proj", "up_proj", hidden_states[visitors], visits)
    y = module._apply_gate(y) if getattr(module, "has_gate", True) else module.act_fn(y)
    y = _linear(module, "down_proj", "down_proj", y, visits)
    if getattr(module, "has_post_expert_norm", False):
        y = module.post_expert_norm(y)
    own = y[order.argsort(stable=True)].reshape(-1, used, hidden)
    return (own * top_k_weights.to(own.dtype).unsqueeze(-1)).sum(1)


def _linear(module: Any, gated: str, plain: str, x: Any, visits: Any) -> Any:
    """Each row of ``x``, in the order of experts, times the matrix of its own."""
    import torch

    name = gated if getattr(module, "has_gate", True) else plain
    bias = getattr(module, f"{name}_bias") if getattr(module, "has_bias", False) else None
    turned = bool(getattr(module, "is_transposed", False))
    return torch.ops.tricast.expert_linear(x, visits, getattr(module, name), bias, turned)
