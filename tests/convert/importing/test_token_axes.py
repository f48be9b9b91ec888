"""Axes are followed through every change of a shape, factor by factor."""

import onnx_ir as ir
import pytest

from convert.importing.token_axes import (
    Deal,
    TokensMixedError,
    alone,
    axes_of,
    broadcast,
    has_tokens,
    regrouped,
    token_axis,
)

HEADS = (("batch",), ("sequence",), (6,), (8,))


def shaped(*shape):
    return ir.Value(name="x", shape=ir.Shape(shape))


def test_shapes_say_what_axes_are_made_of():
    assert axes_of(shaped("batch", 1, 48)) == (("batch",), (), (48,))
    assert axes_of(shaped("4*(batch*sequence)")) == ((4, "batch", "sequence"),)
    assert axes_of(shaped("sequence+17")) == (("sequence+17",),)
    with pytest.raises(TokensMixedError, match="no shape"):
        axes_of(ir.Value(name="x"))


def test_factors_stay_in_order():
    flat = (("batch", "sequence"), (6, 8))
    assert regrouped(HEADS, axes_of(shaped("batch*sequence", 48))) == flat
    assert regrouped(flat, axes_of(shaped("batch", "sequence", 2, 24))) == (
        *HEADS[:2],
        (2,),
        (3, 8),
    )
    assert regrouped((("batch",), ("sequence",), (48,)), HEADS) == HEADS


@pytest.mark.parametrize("shape", [(2, "batch*sequence", 24), ("sequence", "batch", 48), (48,)])
def test_tokens_are_not_cut(shape):
    with pytest.raises(TokensMixedError):
        regrouped(HEADS, axes_of(shaped(*shape)))


def test_tokens_meet_themselves():
    column = (("batch",), ("sequence",), ())
    assert broadcast([column, (("batch",), (), (48,))]) == (*column[:2], (48,))
    assert token_axis(column) == 1
    with pytest.raises(TokensMixedError, match="pairs"):
        broadcast([column, (("batch",), (), ("sequence",))])
    dealt = (Deal(("batch", "sequence")),)
    assert has_tokens(dealt)
    with pytest.raises(TokensMixedError, match="different order"):
        broadcast([(dealt,), (("batch", "sequence"),)])
    with pytest.raises(TokensMixedError, match="pairs"):
        alone((("sequence",), dealt))
