"""Attention and its mask, as `convert.importing.operators` has them traced."""

from __future__ import annotations

from collections.abc import Mapping

from convert.importing.call import Call, Handler, NoFormError
from convert.importing.translation import BOOL, Made

DOMAIN, MASK = "tricast", "Mask"
"""Operator that stands for a causal mask until `convert.importing.masking` writes it out."""


def _attention(call: Call) -> Made:
    if call.get("sinks") is not None:
        raise NoFormError("attention sinks")
    tensors = [call.tensor(name) for name in ("query", "key", "value", "mask")]
    attributes = {"scale": float(call["scale"])}
    if call["softcap"]:
        attributes["softcap"] = float(call["softcap"])
    return call.op("Attention", *tensors, **attributes)


def _mask(call: Call) -> Made:
    return call.to.op(
        MASK,
        call.tensor("attention_mask"),
        shape=call.shape,
        dtype=BOOL,
        attributes={"window": int(call["window"])},
        domain=DOMAIN,
    )


ATTENTION: Mapping[str, Handler] = {
    "tricast.attention.default": _attention,
    "tricast.mask.default": _mask,
}
