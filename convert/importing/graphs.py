"""From a config to a graph without weights, in the form of the hand-written ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.aten.attention import CACHED
from convert.importing.deriving import Derive
from convert.importing.expert_writing import WriteExperts
from convert.importing.masking import write_masks
from convert.importing.raising.attention import RaiseAttention
from convert.importing.raising.batched_experts import RaiseBatchedExperts
from convert.importing.raising.key_terms import RaiseKeyTerms
from convert.importing.raising.layer_norm import RaiseLayerNorm
from convert.importing.raising.linear_biases import RaiseLinearBiases
from convert.importing.raising.partial_rotary import RaisePartialRotary
from convert.importing.raising.positions import RaisePositions
from convert.importing.raising.rms_norm import RaiseRmsNorm
from convert.importing.raising.rotary import RaiseRotary
from convert.importing.raising.tidying import Tidy
from convert.importing.raising.uniform import DropUniform
from convert.importing.raising.written_masks import RaiseMasks
from convert.importing.skeleton import Skeleton
from convert.importing.tokens_apart import require_tokens_apart
from convert.importing.told_values import require_told
from convert.importing.tracing import trace
from convert.importing.translating import translate
from passes.base import Pass

RAISING: tuple[type[Pass], ...] = (
    RaiseRmsNorm,
    RaiseLayerNorm,
    RaiseRotary,
    RaisePartialRotary,
    Tidy,
    RaiseBatchedExperts,
    Derive,
)
"""In order, after attention was found."""

ATTENTION: tuple[type[Pass], ...] = (
    Tidy,
    DropUniform,
    RaisePositions,
    RaiseAttention,
    RaiseKeyTerms,
    RaiseMasks,
    Tidy,
    RaiseLinearBiases,
)
"""In order."""


def imported_graph(skeleton: Skeleton) -> ir.Model:
    """Trace, translate and raise.

    Raises:
        UnsupportedArchitectureError: The model cannot be traced for any length, has operators
            without a form, or mixes tokens elsewhere than in attention; or its masks or positions
            depend on how a text is cut into runs.
    """
    model = _with_attention(skeleton, remembers=True)
    if any(node.op_type == CACHED for node in model.graph):
        # What it caches is not what it attends to: keys and values follow from it.
        model = _with_attention(skeleton, remembers=False)
    for step in RAISING:
        step()(model)
    require_tokens_apart(model)
    require_told(model)
    WriteExperts()(model)
    return model


def _with_attention(skeleton: Skeleton, *, remembers: bool) -> ir.Model:
    """Translated, its masks and its attention found."""
    model = translate(trace(skeleton, remembers=remembers), skeleton)
    write_masks(model)
    remove_dead_nodes(model)
    for step in ATTENTION:
        step()(model)
    return model


def operators(model: ir.Model) -> Mapping[str, int]:
    """How often each operator occurs."""
    found: dict[str, Any] = {}
    for node in model.graph:
        found[node.op_type] = found.get(node.op_type, 0) + 1
    return dict(sorted(found.items()))
