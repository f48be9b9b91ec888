"""Products with experts' matrices, as `convert.importing.expert_operators` has them traced."""

from __future__ import annotations

from collections.abc import Mapping

from convert.importing.aten.attention import DOMAIN
from convert.importing.call import Call, Handler
from convert.importing.translation import Made

EXPERT_LINEAR = "ExpertLinear"
"""Operator that stands for one matrix of each expert until `convert.importing.expert_writing`
writes them out.
"""


def _expert_linear(call: Call) -> Made:
    tensors = [call.tensor(name) for name in ("x", "visits", "weight")]
    if call.get("bias") is not None:
        tensors.append(call.tensor("bias"))
    return call.to.op(
        EXPERT_LINEAR,
        *tensors,
        shape=call.shape,
        attributes={"turned": int(call["turned"])},
        domain=DOMAIN,
    )


EXPERTS: Mapping[str, Handler] = {"tricast.expert_linear.default": _expert_linear}
