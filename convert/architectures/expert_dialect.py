"""What a config says about experts and their router."""

from __future__ import annotations

from convert.architectures.base import Experts
from convert.architectures.dialect import ConfigReader

MOST_EXPERTS = 10_000
"""More than any layer has; a damaged config must not fill the memory."""

_MOST_IN_ALL = 1_000_000
"""Of all layers together."""

_TRAINING = ("output_router_logits", "router_aux_loss_coef")


def router_training(reader: ConfigReader, *others: str) -> None:
    """Pass over keys that matter only while a router is trained."""
    for key in (*_TRAINING, *others):
        reader.raw(key)


def used_experts(reader: ConfigReader, count: int, *, default: int) -> int:
    """How many of the ``count`` experts a token visits.

    Raises:
        BrokenInputError: More than there are.
    """
    used = reader.integer("num_experts_per_tok", default)
    if used > count:
        raise reader.broken("num_experts_per_tok", f"at most {count}, as many as there are")
    return used


def require_possible(reader: ConfigReader, layers: int, count: int, *, key: str) -> None:
    """Refuse more experts than any model has, before each gets names.

    Raises:
        BrokenInputError: There are.
    """
    if layers * count > _MOST_IN_ALL:
        raise reader.broken(key, f"at most {_MOST_IN_ALL} experts in all {layers} layers")


def qwen_experts(
    reader: ConfigReader, layers: int, *, count: int, used: int, ffn: int
) -> Experts | None:
    """As Qwen2-MoE and Qwen3-MoE state them.

    Args:
        reader: The config.
        layers: Of the model.
        count: Experts where the config leaves it out.
        used: The same of the experts that a token visits.
        ffn: The same of their inner width.

    Returns:
        None where no layer has experts.
    """
    router_training(reader)
    count = _count(reader, count)
    require_possible(reader, layers, count, key="num_experts")
    width = reader.integer("moe_intermediate_size", ffn)
    normalized = reader.flag("norm_topk_prob")
    step = reader.integer("decoder_sparse_step", 1)
    plain = _plain_layers(reader, layers)
    have = tuple(
        bool(count) and layer not in plain and (layer + 1) % step == 0 for layer in range(layers)
    )
    if not any(have):
        reader.raw("num_experts_per_tok")
        return None
    chosen = used_experts(reader, count, default=used)
    return Experts(count=count, used=chosen, ffn=width, normalized=normalized, layers=have)


def _count(reader: ConfigReader, default: int) -> int:
    """By either of two names; transformers 5 has both for Qwen3-MoE."""
    names = ("num_experts", "num_local_experts")
    stated = [
        reader.integer(name, minimum=0, maximum=MOST_EXPERTS)
        for name in names
        if reader.raw(name) is not None
    ]
    if len(set(stated)) > 1:
        raise reader.broken(names[1], f"{stated[0]}, as {names[0]} says")
    return stated[0] if stated else default


def _plain_layers(reader: ConfigReader, layers: int) -> frozenset[int]:
    """Numbers of layers that have one MLP whatever the others have."""
    stated = reader.raw("mlp_only_layers")
    if stated is None:
        return frozenset()
    numbers = isinstance(stated, list) and all(
        isinstance(each, int) and not isinstance(each, bool) and 0 <= each < layers
        for each in stated
    )
    if not numbers:
        raise reader.broken("mlp_only_layers", f"a list of numbers of layers below {layers}")
    return frozenset(stated)
