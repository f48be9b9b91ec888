"""Attention and its mask, as `convert.importing.operators` has them traced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from convert.attention_sinks import SCORES, SCORES_WITH_MASK
from convert.importing.call import Call, Handler, NoFormError
from convert.importing.translation import BOOL, Made

DOMAIN, MASK = "tricast", "Mask"
"""Operator that stands for a causal mask until `convert.importing.masking` writes it out."""

CACHED = "Cached"
"""Operator of the same domain: what is new, behind what a cache holds. Attention does it itself."""


def _attention(call: Call) -> Made:
    tensors = [call.tensor(name) for name in ("query", "key", "value", "mask")]
    attributes: dict[str, int | float] = {"scale": float(call["scale"])}
    if call["softcap"]:
        attributes["softcap"] = float(call["softcap"])
    if call.get("sinks") is not None:
        return _with_sinks(call, tensors, attributes)
    return call.op("Attention", *tensors, **attributes)


def _with_sinks(
    call: Call, tensors: Sequence[ir.Value], attributes: Mapping[str, int | float]
) -> Made:
    """See `convert.attention_sinks`."""
    query, key, value, mask = tensors
    sinks = call.tensor("sinks")
    assert query.shape is not None and mask.shape is not None
    batch, heads, length, _ = query.shape
    if sinks.shape is None or list(sinks.shape) != [heads]:
        raise NoFormError(f"attention sinks of shape {sinks.shape} for {heads} heads")
    scores_shape = (batch, heads, length, mask.shape[-1])
    axis, axes = call.integers(-1), call.integers(0, 2, 3)
    # In front of Attention, so that one operator can take the place of all.
    sink = call.to.op("Unsqueeze", sinks, axes, shape=(1, heads, 1, 1))
    mixed, *_, scores = call.to.several(
        "Attention",
        query,
        key,
        value,
        mask,
        shapes=[call.shape, key.shape or (), value.shape or (), scores_shape],
        attributes={**attributes, "qk_matmul_output_mode": SCORES_WITH_MASK},
    )
    for unused in mixed.producer().outputs[1:SCORES]:  # type: ignore[union-attr]
        unused.name = ""
    each = (batch, heads, length, 1)
    keep = {"keepdims": 1}
    total = call.to.op("ReduceLogSumExp", scores, axis, shape=each, attributes=keep)
    share = call.to.op("Sub", total, sink, shape=each)
    share = call.to.op("Sigmoid", share, shape=each)
    return call.op("Mul", mixed, share)


def _mask(call: Call) -> Made:
    return call.to.op(
        MASK,
        call.tensor("attention_mask"),
        shape=call.shape,
        dtype=BOOL,
        attributes={"window": int(call["window"])},
        domain=DOMAIN,
    )


def _cached(call: Call) -> Made:
    new = call.tensor("new")
    return call.to.op(CACHED, new, shape=call.shape, dtype=new.dtype, domain=DOMAIN)


ATTENTION: Mapping[str, Handler] = {
    "tricast.attention.default": _attention,
    "tricast.mask.default": _mask,
    "tricast.cached.default": _cached,
}
