"""From a config to a graph without weights, in the form of the hand-written ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.deriving import Derive
from convert.importing.expert_writing import WriteExperts
from convert.importing.masking import write_masks
from convert.importing.raising.layer_norm import RaiseLayerNorm
from convert.importing.raising.partial_rotary import RaisePartialRotary
from convert.importing.raising.rms_norm import RaiseRmsNorm
from convert.importing.raising.rotary import RaiseRotary
from convert.importing.raising.tidying import Tidy
from convert.importing.skeleton import Skeleton
from convert.importing.tracing import trace
from convert.importing.translating import translate
from passes.base import Pass

RAISING: tuple[type[Pass], ...] = (
    Tidy,
    RaiseRmsNorm,
    RaiseLayerNorm,
    RaiseRotary,
    RaisePartialRotary,
    Tidy,
    Derive,
    WriteExperts,
)
"""In order."""


def imported_graph(skeleton: Skeleton) -> ir.Model:
    """Trace, translate and raise.

    Raises:
        UnsupportedArchitectureError: The model cannot be traced for any length, or has operators
            without a form.
    """
    model = translate(trace(skeleton), skeleton)
    write_masks(model)
    remove_dead_nodes(model)
    for step in RAISING:
        step()(model)
    return model


def operators(model: ir.Model) -> Mapping[str, int]:
    """How often each operator occurs."""
    found: dict[str, Any] = {}
    for node in model.graph:
        found[node.op_type] = found.get(node.op_type, 0) + 1
    return dict(sorted(found.items()))
