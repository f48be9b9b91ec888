"""The tensors of an imported model as llama.cpp wants them: names, rows, those it cannot lack."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.architectures.base import DecoderConfig
from convert.errors import UnsupportedConfigError
from convert.graph import parameters
from convert.parameter import Parameter
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.gguf.imported.absorbing import latent_names, latent_tensors
from targets.gguf.imported.attending import Attention
from targets.gguf.imported.biases import is_read
from targets.gguf.imported.experts import expert_names, expert_tensors, router_names
from targets.gguf.imported.facts import Facts
from targets.gguf.imported.latent import Latent
from targets.gguf.imported.rotating import long_factors, rotary_factors, rotated_rows
from targets.gguf.imported.runs import Runs
from targets.gguf.tensors import StoredTensor, name_map

Order = NDArray[np.int64]
_SUFFIXES = (".weight", ".bias")
_EMBEDDING, _HEAD, _POSITIONS = "token_embd.weight", "output.weight", "position_embd.weight"
_FACTORS = "rope_freqs.weight"
_ROUTER = ".ffn_gate_inp.weight"
_SINKS = "blk.{}.attn_sinks.weight"
_NORMS = re.compile(r"blk\.(\d+)\.attn_([qk])_norm\.(?:weight|bias)")


def stored_tensors(
    model: ir.Model, config: DecoderConfig, names: Mapping[str, str], facts: Facts, runs: Runs
) -> tuple[StoredTensor, ...]:
    """Every parameter of a graph, then what it has not and llama.cpp needs.

    Args:
        model: The graph.
        config: Of it.
        names: As `stored_names` gives them.
        facts: What it computes.
        runs: What llama.cpp computes.

    Raises:
        UnsupportedConfigError: llama.cpp has no place for the rows of a parameter.
    """
    held = parameters(model)
    orders = _orders(facts, names, held, runs)
    kept = [_stored(names[name], held[name], orders.get(name)) for name in names]
    made = (*latent_tensors(facts, held, runs), *expert_tensors(facts, held, runs))
    stored = [*kept, *made]
    return (*_with_head(stored, runs), *_zeros(stored, runs, config), *_rotary(facts, runs))


def stored_names(
    model: ir.Model, config: DecoderConfig, facts: Facts, runs: Runs
) -> dict[str, str]:
    """Names in the GGUF, by those of a graph's parameters; experts are left out.

    Raises:
        UnsupportedConfigError: llama.cpp has none for a parameter.
    """
    known = name_map(runs.architecture, config.layers)
    found, taken = dict[str, str](), set[str]()
    named = router_names(facts) | _sink_names(facts)
    apart = expert_names(facts) | latent_names(facts, runs)
    for name in (name for name in parameters(model) if name not in apart):
        stored = named.get(name) or known.get_name(name, try_suffixes=_SUFFIXES)
        lacking = stored is None or not is_read(runs.architecture, stored)
        if stored is None or lacking or stored in taken:
            again = "" if lacking else f", but for {stored}, which it has already"
            raise UnsupportedConfigError(
                f"llama.cpp's architecture {runs.architecture!r} has no tensor for {name!r}{again}",
                remedy="choose another target for this model",
            )
        found[name] = stored
        taken.add(stored)
    return found


def _sink_names(facts: Facts) -> dict[str, str]:
    sinks = (each.sinks for each in facts.attentions)
    return {name: _SINKS.format(number) for number, name in enumerate(sinks) if name is not None}


def _stored(name: str, parameter: Parameter, order: Order | None) -> StoredTensor:
    weight = parameter.weight
    chosen = parameter.encoding or encoding(weight.dtype.value)
    if len(weight.shape) == 1 or name == _POSITIONS or name.endswith(_ROUTER):
        # llama.cpp adds vectors and the table of positions in float32, and rounds no router.
        chosen = encoding("f32")
    return StoredTensor(name, weight, chosen, order)


def _with_head(stored: list[StoredTensor], runs: Runs) -> list[StoredTensor]:
    """The tensors with a head if llama.cpp wants one, be it the embedding again."""
    has_head = any(each.name == _HEAD for each in stored)
    if runs.head == "embedding" and has_head:
        raise UnsupportedConfigError(
            f"llama.cpp's architecture {runs.architecture!r} has the embedding for a head",
            expected="tie_word_embeddings true",
            remedy="choose another target for this model",
        )
    if runs.head != "own" or has_head:
        return stored
    table = next(each for each in stored if each.name == _EMBEDDING)
    return [*stored, StoredTensor(_HEAD, table.weight, table.encoding, table.row_order)]


def _zeros(stored: list[StoredTensor], runs: Runs, config: DecoderConfig) -> Iterator[StoredTensor]:
    """Biases that the architecture cannot do without, where the model has none."""
    shapes = {each.name: each.shape for each in stored}
    for layer in range(config.layers):
        for part in runs.needs:
            name = f"blk.{layer}.{part}"
            matrix = shapes.get(name.removesuffix("bias") + "weight")
            if name not in shapes and matrix is not None:
                zeros = np.zeros(matrix[0], np.float32)
                yield StoredTensor(name, ArrayWeight(name, zeros), encoding("f32"))


def _rotary(facts: Facts, runs: Runs) -> Iterator[StoredTensor]:
    factors = rotary_factors(facts, runs)
    if factors is not None:
        yield StoredTensor(_FACTORS, ArrayWeight(_FACTORS, factors), encoding("f32"))
    for name, numbers in long_factors(facts, runs).items():
        yield StoredTensor(name, ArrayWeight(name, numbers), encoding("f32"))


def _orders(
    facts: Facts, names: Mapping[str, str], held: Mapping[str, Any], runs: Runs
) -> dict[str, Order]:
    """Orders of rows by the names of parameters; none for those that keep theirs."""
    found: dict[str, Order] = {}
    for attention in facts.attentions:
        found |= _attention_orders(attention, runs)
    for each in facts.activations.values():
        if each.gate is not None and each.gate_rows and each.up_rows and not each.gate.experts:
            shares = (each.gate_rows, each.up_rows)
            order = np.concatenate([share.indices(each.gate.rows) for share in shares])
            found |= _with_bias(each.gate.name, each.gate.bias, order)
    for name, stored in names.items():
        match = _NORMS.fullmatch(stored)
        if match is not None:
            attention = facts.attentions[int(match[1])]
            part = attention.queries if match[2] == "q" else attention.keys
            turned = rotated_rows(part.rows, attention.rotation, runs)
            found[name] = _norm_order(name, held[name].weight.shape, part.rows, turned)
    return {name: order for name, order in found.items() if (order != np.arange(len(order))).any()}


def _attention_orders(attention: Attention, runs: Runs) -> dict[str, Order]:
    queries, keys, values = attention.queries, attention.keys, attention.values
    if attention.latent is not None:
        return _latent_orders(attention, attention.latent, runs)
    turned = [rotated_rows(each.rows, attention.rotation, runs) for each in (queries, keys)]
    rows: dict[str, list[Order]] = {}
    layers = {}
    for part, order in zip((queries, keys, values), (*turned, values.rows), strict=True):
        rows.setdefault(part.linear.name, []).append(order.reshape(-1))
        layers[part.linear.name] = part.linear
    found: dict[str, Order] = {}
    for name, parts in rows.items():
        order, layer = np.concatenate(parts), layers[name]
        if not np.array_equal(np.sort(order), np.arange(layer.rows)):
            raise UnsupportedConfigError(
                f"the rows of {name} are not queries, keys and values, each once",
                remedy="choose another target for this model",
            )
        found |= _with_bias(name, layer.bias, order)
    return found


def _latent_orders(attention: Attention, latent: Latent, runs: Runs) -> dict[str, Order]:
    queries, rotation = attention.queries, attention.rotation
    order = rotated_rows(queries.rows, rotation, runs, queries.rotated_from).reshape(-1)
    shared = rotated_rows(latent.shared, rotation, runs).reshape(-1)
    inner = np.concatenate((np.arange(latent.rank, dtype=np.int64), shared))
    return _with_bias(queries.linear.name, queries.linear.bias, order) | _with_bias(
        latent.inner.name, latent.inner.bias, inner
    )


def _with_bias(name: str, bias: str | None, order: Order) -> dict[str, Order]:
    return {name: order} if bias is None else {name: order, bias: order}


def _norm_order(name: str, shape: tuple[int, ...], rows: Order, turned: Order) -> Order:
    """Of what normalizes queries or keys, each head or all at once.

    Args:
        name: Of the parameter.
        shape: Of it.
        rows: Of the layer, ``[heads, head size]``.
        turned: As llama.cpp has them.
    """
    if np.array_equal(rows, turned):
        return np.arange(shape[0], dtype=np.int64)
    for before, after in ((rows, turned), (rows[0], turned[0])):
        if shape == (before.size,):
            ascending = np.argsort(before, axis=None)
            places = np.searchsorted(before.reshape(-1)[ascending], after.reshape(-1))
            return np.asarray(ascending[places], np.int64)
    raise UnsupportedConfigError(
        f"the elements of {name} cannot be moved as those that it normalizes",
        found=f"the shape {shape} for heads {turned.shape}",
        remedy="choose another target for this model",
    )
