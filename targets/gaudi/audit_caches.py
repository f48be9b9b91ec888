"""Whether every cache of an exported program is written where it lies, and keeps its size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.utils import _pytree as pytree

from convert.errors import GraphCaptureError
from targets.gaudi.operator_traits import arguments

ARGUMENT = "caches"
"""The argument of a program that holds the caches."""

_WRITTEN = (OutputKind.USER_INPUT_MUTATION, OutputKind.BUFFER_MUTATION)


def audit_caches(program: ExportedProgram, name: str) -> None:
    """Refuse a cache that grows, is replaced, or is written through a view.

    A program without an argument `ARGUMENT` may keep its caches in buffers; it must write one.

    Raises:
        GraphCaptureError: A graph capture could not hold it.
    """
    written = _written(program, name)
    caches = _cache_arguments(program)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in caches and node.name not in written:
            grown = _grown(program, node)
            if grown is not None:
                size, larger = (tuple(one.meta["val"].shape) for one in (node, grown))
                reason = f"the cache {node.name!r} grows from {size} to {larger}"
                raise GraphCaptureError(name, reason, _describe(grown), remedy=_REMEDY)
            reason = f"the cache {node.name!r} is not updated in place"
            user = next(iter(node.users), node)
            raise GraphCaptureError(name, reason, _describe(user), remedy=_REMEDY)
    if not written:
        raise GraphCaptureError(name, "no cache is updated in place", "output", remedy=_REMEDY)


_REMEDY = "allocate the cache at its full length and write new entries with index_copy_"


def _cache_arguments(program: ExportedProgram) -> frozenset[str]:
    """Names of the placeholders that are caches."""
    spec = program.call_spec.in_spec
    inputs = list(program.graph_signature.user_inputs)
    signature = program.module_call_graph[0].signature
    names = (signature.forward_arg_names if signature is not None else None) or []
    if spec is None or spec.num_leaves != len(inputs):
        return frozenset()
    positional, named = pytree.tree_unflatten(inputs, spec)
    given: dict[str, Any] = {**dict(zip(names, positional, strict=False)), **named}
    return frozenset(map(str, pytree.tree_leaves(given.get(ARGUMENT))))


def _written(program: ExportedProgram, name: str) -> set[str]:
    """Names of the placeholders that the program writes."""
    specs = [spec for spec in program.graph_signature.output_specs if spec.kind in _WRITTEN]
    by_target = {spec.target: spec.arg.name for spec in program.graph_signature.input_specs}
    written = {by_target.get(spec.target, str(spec.target)) for spec in specs}
    for write in _writes(program.graph):
        if write.through_view:
            reason = f"{write.root.name!r} is written through a view of it"
            raise GraphCaptureError(name, reason, _describe(write.node), remedy=_REMEDY)
        written.add(write.root.name)
    return written


@dataclass(frozen=True)
class _Write:
    """A node that writes memory, and the node that the memory came from."""

    node: fx.Node
    root: fx.Node
    through_view: bool


def _writes(graph: fx.Graph) -> Iterator[_Write]:
    """Every write in place, in order."""
    origin: dict[fx.Node, tuple[fx.Node, bool]] = {}
    for node in graph.nodes:
        for source, is_write in _shared(node):
            root, is_view = origin.get(source, (source, False))
            origin[node] = root, is_view or not is_write
            if is_write:
                yield _Write(node, root, is_view)


def _shared(node: fx.Node) -> Iterator[tuple[fx.Node, bool]]:
    """The nodes whose memory the output of this one is in, and whether this one writes it."""
    if not isinstance(node.target, torch._ops.OpOverload):
        # An element of what a chunk or a split gave.
        yield from ((source, False) for source in node.all_input_nodes if node.op != "output")
        return
    given = arguments(node, node.target)
    for argument in node.target._schema.arguments:
        if argument.alias_info is not None:
            for source in pytree.tree_leaves(given.get(argument.name)):
                if isinstance(source, fx.Node):
                    yield source, argument.alias_info.is_write


def _grown(program: ExportedProgram, cache: fx.Node) -> fx.Node | None:
    """An output like the cache, but longer in one axis."""
    size = tuple(cache.meta["val"].shape)
    for value in pytree.tree_leaves(program.graph.output_node().args):
        found = value.meta.get("val") if isinstance(value, fx.Node) else None
        if not isinstance(found, Tensor) or found.dim() != len(size):
            continue
        differing = [pair for pair in zip(size, found.shape, strict=True) if pair[0] != pair[1]]
        if len(differing) == 1 and differing[0][1] > differing[0][0]:
            return cast("fx.Node", value)
    return None


def _describe(node: fx.Node) -> str:
    return node.name if node.op != "call_function" else f"{node.name} = {node.target}"
