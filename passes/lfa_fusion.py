"""Conv over x[t-1], x[t] → [x[t-1]; x[t]] Wᵀ + b, or two such at once over x[t-2], x[t-1], x[t]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import onnx_ir as ir

from convert.errors import PassRefusedError
from convert.graph import remove_dead_nodes
from passes.base import Pass
from passes.convolutions import CausalConvolution, causal_convolutions
from passes.neighbours import Filter, collapse, filters, fuse

Form = Literal["pair", "collapsed"]

FORM = "lfa_fusion.form"
"""Key of the model's metadata that says which form was chosen."""

NOTE = "note.lfa_fusion"
"""Key of the model's metadata with the choice and its numbers, a sentence."""


class LfaFusion(Pass):
    """Localized filtering as products of matrices, which can be quantized and sharded.

    *pair* has one product for each convolution, *collapsed* one for both. Either costs two
    operations a weight for each token of a prefill, and reads every weight once in each step of
    decoding, so the form with fewer weights is the cheaper one throughout. With h channels
    outside and h/2 between the convolutions, as in Yuan, the pair has 2h² and the other 3h².

    It comes before the cache, since the forms have different things to remember; behind a cache
    only the pair is possible.

    Args:
        form: The form to use; None for the cheaper one.
    """

    name: ClassVar[str] = "lfa_fusion"
    exact: ClassVar[bool] = True

    def __init__(self, form: Form | None = None) -> None:
        self.form = form

    def requires(self, model: ir.Model) -> None:
        convolutions = list(causal_convolutions(model))
        if self.form == "collapsed" and convolutions:
            reason = _obstacle(convolutions)
            if reason is not None:
                raise PassRefusedError(reason, str(convolutions[0].node.name))

    def rewrite(self, model: ir.Model) -> bool:
        convolutions = list(causal_convolutions(model))
        if not convolutions:
            return False
        pairs = filters(convolutions)
        form = self.form or _cheaper(convolutions)
        model.metadata_props[FORM] = form
        model.metadata_props[NOTE] = _note(form, pairs)
        if form == "pair":
            for one in convolutions:
                fuse(model.graph, one)
        else:
            for both in pairs:
                collapse(model.graph, both)
        remove_dead_nodes(model)
        for name, value in list(model.graph.initializers.items()):
            if not value.uses():
                del model.graph.initializers[name]
        return True

    def ensures(self, model: ir.Model) -> None:
        left = [node.name for node in model.graph if node.op_type == "Conv"]
        assert not left, f"convolutions are left: {left}"


def _obstacle(convolutions: Sequence[CausalConvolution]) -> str | None:
    """Why the convolutions cannot be collapsed, if they cannot."""
    if any(one.joint.op_type != "Pad" for one in convolutions):
        return "the cache keeps what goes into two convolutions"
    if 2 * len(filters(convolutions)) != len(convolutions):
        return "the convolutions do not come in pairs"
    return None


def _cheaper(convolutions: Sequence[CausalConvolution]) -> Form:
    pair, collapsed = _costs(filters(convolutions))
    return "collapsed" if collapsed < pair and not _obstacle(convolutions) else "pair"


def _costs(pairs: Sequence[Filter]) -> tuple[int, int]:
    """Weights of both forms."""
    collapsed = [both.collapsed for both in pairs]
    return (
        sum(both.weights for both in pairs),
        sum(weight.rows * weight.columns for weight in collapsed),
    )


def _note(form: Form, pairs: Sequence[Filter]) -> str:
    pair, collapsed = _costs(pairs)
    chosen, other = (pair, collapsed) if form == "pair" else (collapsed, pair)
    words = ("two products", "one product for both")
    is_, would_be = words if form == "pair" else words[::-1]
    return (
        f"localized filtering in {len(pairs)} layers is {is_} over neighbouring tokens:"
        f" {chosen / 1e6:,.2f} million weights to read in a step of decoding and"
        f" {2 * chosen / 1e6:,.2f} million operations a token of a prefill;"
        f" {would_be} would have {other / 1e6:,.2f} and {2 * other / 1e6:,.2f} million"
    )
