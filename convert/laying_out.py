"""The files of an artifact: of a whole model, or of the parts that several devices have."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from convert.graph import parameters
from convert.parameter import Parameter
from targets.base import Layout, LayoutRequest, Target


def require_fit(target: Target, whole: LayoutRequest) -> None:
    """Refuse a model that the devices it is for cannot hold.

    Raises:
        DoesNotFitError: They cannot.
    """
    deployment = target.plan_deployment(whole.source.config, whole.model, whole.options)
    if deployment is not None:
        deployment.require_fit()


def lay_out(target: Target, whole: LayoutRequest, parts: Sequence[LayoutRequest]) -> Layout:
    """The files of a whole model, or of its parts if it has any.

    Args:
        target: Lays them out.
        whole: The model.
        parts: What each rank has of it; empty where one device has all.
    """
    if not parts:
        return target.lay_out(whole)
    _store_as_ranks_do(whole.model, [part.model for part in parts])
    return target.lay_out_ranks(parts)


def _store_as_ranks_do(whole: ir.Model, ranks: Sequence[ir.Model]) -> None:
    """Let the whole graph say how weights are stored whose parts do not fit what the whole has."""
    parts = [parameters(rank) for rank in ranks]
    for name, parameter in parameters(whole).items():
        asked = parameter.encoding
        for part in (own[name] for own in parts):
            if asked is None or part.encoding is None or part.encoding.name == asked.name:
                continue
            shape = " by ".join(map(str, part.weight.shape))
            reason = f"{asked.name} does not fit a rank's part, {shape}"
            stored = Parameter(parameter.weight, part.encoding, reason)
            whole.graph.initializers[name].const_value = stored
            break
