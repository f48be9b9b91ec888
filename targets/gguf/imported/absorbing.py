"""Latent attention in the keys and tensors of llama.cpp.

``deepseek2`` keeps the short vector in its cache and multiplies queries by the matrices of the
keys: each head's are turned, in a tensor of their own, and so are those of the values. ``minicpm3``
has both in one tensor, as the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from convert.importing.derived_weights import TurnedWeight
from convert.parameter import Parameter
from convert.weights import RowRange, RowRanges
from passes.encodings import encoding
from passes.encodings.base import Encoding
from targets.gguf.file_types import FALLBACKS
from targets.gguf.imported.attending import Attention
from targets.gguf.imported.expressing import Key, one_of, refusal
from targets.gguf.imported.facts import Facts
from targets.gguf.imported.origins import Piece
from targets.gguf.imported.rotations import Rotation
from targets.gguf.imported.runs import Runs
from targets.gguf.tensors import StoredTensor

_KEYS, _VALUES = "blk.{}.attn_k_b.weight", "blk.{}.attn_v_b.weight"
_CLOSE = 1e-6
_PER_E = 0.1
"""How much YaRN multiplies by for each power of e that a context was made longer."""
_LAST = ("q8_0", "f16")


def latent_sizes(facts: Facts, runs: Runs) -> Iterator[Key]:
    """Sizes of heads, and of what they are made of.

    Raises:
        UnsupportedConfigError: They differ between layers.
    """
    (heads, whole), own, values, rank, inner = one_of(facts, _sizes, "sizes of attention", runs)
    yield "head_count", heads
    yield "q_lora_rank", inner
    yield "kv_lora_rank", rank
    if runs.latent == "whole":
        lengths = (heads, whole, values)
    else:
        lengths = (1, rank + whole - own, rank)
        yield "key_length_mla", whole
        yield "value_length_mla", values
    yield from zip(("head_count_kv", "key_length", "value_length"), lengths, strict=True)


def _sizes(each: Attention) -> tuple[tuple[int, ...], int, int, int, int]:
    assert each.latent is not None
    own, values = each.keys.rows.shape[1], each.values.rows.shape[1]
    return (
        each.queries.rows.shape,
        own,
        values,
        each.latent.rank,
        each.inner.rows if each.inner else 0,
    )


def scale_keys(facts: Facts, rotation: Rotation, runs: Runs) -> Iterator[Key]:
    """What multiplies cosines and sines, and products of queries and keys, which is one for both.

    With ``f`` for the stretch, ``A`` and ``L`` for the two keys: cosines are multiplied by ``A``,
    products by ``(A (1 + 0.1 L ln f))² / √(head size)``.

    Raises:
        UnsupportedConfigError: There are no such numbers.
    """
    scale = one_of(facts, lambda each: each.scale, "a scale of attention", runs)
    size = facts.attentions[0].queries.rows.shape[1]
    times = math.sqrt(scale * math.sqrt(size)) / rotation.factor
    stretch = rotation.stretch if rotation.divisor is None else None
    longer = math.log(stretch.factor if stretch else rotation.divisor or 1.0)
    share = (times - 1) / (_PER_E * longer) if stretch else 0.0
    if not stretch and not math.isclose(times, 1 + _PER_E * longer, rel_tol=_CLOSE):
        raise refusal(runs, "what products of queries and keys are multiplied by", scale)
    if abs(share) < _CLOSE:
        inherent = stretch.inherent if stretch else 1.0
        yield "rope_scaling_attn_factors", rotation.factor / inherent
        return
    yield "rope_scaling_attn_factors", rotation.factor
    yield "rope_scaling_yarn_log_mul", _PER_E * share


def latent_names(facts: Facts, runs: Runs) -> frozenset[str]:
    """Names of the parameters that `latent_tensors` has."""
    if runs.latent != "split":
        return frozenset()
    return frozenset(each.keys.linear.name for each in facts.attentions if each.latent)


def latent_tensors(
    facts: Facts, held: Mapping[str, Parameter], runs: Runs
) -> Iterator[StoredTensor]:
    """The matrices of keys, turned, and of values, one behind the other."""
    for number, each in enumerate(facts.attentions if runs.latent == "split" else ()):
        parameter = held[each.keys.linear.name]
        chosen = parameter.encoding or encoding(parameter.weight.dtype.value)
        keys = [TurnedWeight(_matrix(parameter, rows)) for rows in each.keys.rows]
        values = [_matrix(parameter, rows) for rows in each.values.rows]
        # A short text has run through both together: what it says of inputs is not of turned ones.
        fitting = fitted(encoding(chosen.name), keys[0].columns)
        for name, parts, kind in ((_KEYS, keys, fitting), (_VALUES, values, chosen)):
            stack = tuple((part, kind) for part in parts)
            yield StoredTensor(name.format(number), *stack[0], stacked=stack)


def latent_pieces(facts: Facts, runs: Runs) -> Iterator[Piece]:
    """What these tensors are in the checkpoint."""
    for number, each in enumerate(facts.attentions if runs.latent == "split" else ()):
        name = each.keys.linear.name
        for stored, rows, turned in (
            (_KEYS, each.keys.rows, True),
            (_VALUES, each.values.rows, False),
        ):
            stride = int(rows[1, 0] - rows[0, 0]) if len(rows) > 1 else 0
            yield Piece(stored.format(number), name, int(rows[0, 0]), 1, stride, turned=turned)


def fitted(asked: Encoding, columns: int) -> Encoding:
    """An encoding, or what llama.cpp takes in its place for rows of so many weights."""
    names = (asked.name, FALLBACKS.get(asked.name), *_LAST)
    found = (encoding(name).fit(columns) for name in names if name is not None)
    return next(each for each in found if each is not None)


def _matrix(parameter: Parameter, rows: NDArray[np.int64]) -> RowRanges:
    start, stop = int(rows[0]), int(rows[-1]) + 1
    ranges = (RowRange(parameter.weight, start, stop),)
    return RowRanges(f"{parameter.weight.name}.{start}", ranges)


def require_places(facts: Facts, runs: Runs) -> None:
    """Refuse latent attention where an architecture has none, and the other way round.

    Raises:
        UnsupportedConfigError: See above.
    """
    for number, each in enumerate(facts.attentions):
        if (each.latent is not None) != (runs.latent != "no"):
            lacking = "latent attention" if each.latent else "attention that is not latent"
            raise refusal(runs, f"{lacking} in layer {number}")
        start = each.queries.rotated_from
        wanted = each.keys.rows.shape[1] if each.latent is not None else 0
        if each.rotation is not None and start != wanted:
            raise refusal(runs, f"heads that are rotated from their element {start} on")
        if each.latent is not None and any(
            (np.diff(rows) != 1).any() for rows in (*each.keys.rows, *each.values.rows)
        ):
            raise refusal(runs, f"matrices of heads in layer {number} with scattered rows")
    if len(facts.attentions) in runs.plain_queries_at and any(a.inner for a in facts.attentions):
        raise refusal(runs, f"queries made of a short vector in {len(facts.attentions)} layers")
