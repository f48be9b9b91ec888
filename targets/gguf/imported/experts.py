"""The matrices of an imported graph's experts as the tensors that llama.cpp has of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from convert.errors import UnsupportedConfigError, UnsupportedEncodingError
from convert.importing.expert_parts import part_pattern, place_of_part
from convert.parameter import Parameter
from convert.weight_views import SpacedRows
from convert.weights import RowRange, RowRanges, Weight
from passes.encodings import encoding
from passes.encodings.base import Encoding
from targets.gguf.imported.activations import Activation, Rows
from targets.gguf.imported.expressing import refusal
from targets.gguf.imported.facts import Facts, Mixture
from targets.gguf.imported.linears import Linear
from targets.gguf.imported.origins import Piece
from targets.gguf.imported.runs import Runs
from targets.gguf.tensors import StoredTensor

_LAYER = re.compile(r"\.(\d+)\.")
_ROUTER = "blk.{}.ffn_gate_inp."
_CORRECTION = "blk.{}.exp_probs_b.bias"


@dataclass(frozen=True)
class _Part:
    """What a tensor has of the experts of a layer.

    Args:
        stored: Name of the tensor.
        names: Of the parameters, one for each expert.
        rows: Which of their rows; None for all.
        total: How many rows they have.
    """

    stored: str
    names: tuple[str, ...]
    rows: Rows | None
    total: int


def layer_of(name: str) -> int:
    """Number of the layer that a parameter is of."""
    match = _LAYER.search(name)
    if match is None:
        raise UnsupportedConfigError(f"{name} is of no layer")
    return int(match[1])


def width_of(mixture: Mixture) -> int:
    """Inner width of an expert."""
    rows = mixture.up[0].rows
    return rows // 2 if len(mixture.up) == 1 else rows


def router_names(facts: Facts) -> dict[str, str]:
    """Names in the GGUF of what chooses among experts: a matrix, its bias, a correction."""
    found = {}
    for each in facts.mixtures.values():
        layer = layer_of(each.down.name)
        found[each.router.name] = f"{_ROUTER.format(layer)}weight"
        if each.router.bias is not None:
            found[each.router.bias] = f"{_ROUTER.format(layer)}bias"
        if each.correction is not None:
            found[each.correction] = _CORRECTION.format(layer)
    return found


def expert_names(facts: Facts) -> frozenset[str]:
    """Names of all parameters of experts."""
    return frozenset(
        name
        for each in facts.mixtures.values()
        for part in (*each.up, each.down)
        for name in (*part.experts, *part.expert_biases)
    )


def expert_pieces(facts: Facts, runs: Runs) -> Iterator[Piece]:
    """What the tensors of `expert_tensors` are in the checkpoint. Raises as that does."""
    for part in _parts(facts, runs):
        whole, _ = place_of_part(part.names[0]) or (part.names[0], 0)
        rows = part.rows or Rows(0)
        yield Piece(part.stored, part_pattern(whole), rows.first, rows.step)


def expert_tensors(
    facts: Facts, held: Mapping[str, Parameter], runs: Runs
) -> Iterator[StoredTensor]:
    """A tensor for each matrix, or bias, that all experts of a layer have.

    Raises:
        UnsupportedConfigError: Experts are made of other matrices than llama.cpp's.
        UnsupportedEncodingError: Experts of a layer are to be stored differently.
    """
    for part in _parts(facts, runs):
        stack = tuple(_member(held[name], part) for name in part.names)
        found = sorted({chosen.name for _, chosen in stack})
        if len(found) != 1:
            raise UnsupportedEncodingError(
                f"llama.cpp has the experts of a layer in one tensor, {part.stored}, of one type",
                found=", ".join(found),
                remedy="choose a pattern of names that matches all experts of the layer",
            )
        yield StoredTensor(part.stored, *stack[0], stacked=stack)


def _parts(facts: Facts, runs: Runs) -> Iterator[_Part]:
    for mixture in facts.mixtures.values():
        scope = f"blk.{layer_of(mixture.down.name)}.ffn"
        shares = _shares(mixture, facts.activations[mixture.down.name], runs)
        for kind, (layer, rows) in shares.items():
            yield _Part(f"{scope}_{kind}_exps.weight", layer.experts, rows, layer.rows)
            if layer.expert_biases:
                yield _Part(f"{scope}_{kind}_exps.bias", layer.expert_biases, rows, layer.rows)


def _shares(mixture: Mixture, act: Activation, runs: Runs) -> dict[str, tuple[Linear, Rows | None]]:
    """Layers, and rows of them, by what llama.cpp calls them."""
    gate, down = act.gate, (mixture.down, None)
    if gate is None or not 1 <= len(mixture.up) <= 2:
        raise refusal(runs, "experts without a gate")
    if len(mixture.up) == 1:
        return {"gate": (gate, act.gate_rows), "up": (gate, act.up_rows), "down": down}
    (up,) = (each for each in mixture.up if each is not gate)
    return {"gate": (gate, None), "up": (up, None), "down": down}


def _member(parameter: Parameter, part: _Part) -> tuple[Weight, Encoding]:
    weight = parameter.weight
    chosen = parameter.encoding or encoding(weight.dtype.value)
    if len(weight.shape) == 1:
        chosen = encoding("f32")
    if part.rows is None:
        return weight, chosen
    first, count = part.rows.first, part.total // 2
    if part.rows.step != 1:
        return SpacedRows(weight, first, part.rows.step, count), chosen
    name = f"{weight.name}.{first}"
    return RowRanges(name, (RowRange(weight, first, first + count),)), chosen
