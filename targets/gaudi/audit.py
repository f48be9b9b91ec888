"""Refuses an exported program that a graph capture could not hold, naming the node.

Program: ``python -m targets.gaudi.audit FILE.pt2 ...``; exit code 4 if one is refused.

A captured graph replays the same kernels on the same memory. So no size may be a symbol, nothing
may be read back to the host or copied from device to device, nothing may branch on data or draw
random numbers, and a cache must be written where it lies. An export on the CPU shows all of that:
before decompositions it keeps a copy to the device that a tensor is on already as a node.
"""

from __future__ import annotations

import argparse
import sys
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import SymBool, SymFloat, SymInt, Tensor, fx
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from convert.errors import BrokenInputError, GraphCaptureError, TricastError
from targets.gaudi.audit_caches import audit_caches
from targets.gaudi.collectives import COLLECTIVES
from targets.gaudi.operator_traits import draws_random_numbers, indexes_by_mask, makes_a_tensor

_TAG = torch.Tag
_READ_BACK = "a value is read back to the host"
_SHAPE = "a shape depends on data"
_REMEDIES = {
    _READ_BACK: "keep the value in a tensor, and index with it",
    _SHAPE: "compute with a mask over the whole tensor instead of picking from it",
}


def audit(program: ExportedProgram, name: str = "the program") -> None:
    """Look at every node of a program.

    Args:
        program: As `torch.export.export` gives it, or loaded from a file.
        name: What to call it in the message.

    Raises:
        GraphCaptureError: A graph capture could not hold it.
    """
    for node in program.graph.nodes:
        reason = _fault(node)
        if reason is not None:
            raise GraphCaptureError(name, reason, _describe(node), remedy=_REMEDIES.get(reason))
    # Every symbol that was not met at a node.
    for symbol, bounds in program.range_constraints.items():
        raise GraphCaptureError(name, f"a size is symbolic, between {bounds}", str(symbol))
    audit_caches(program, name)


def audit_file(path: Path) -> None:
    """Look at a program file.

    Raises:
        GraphCaptureError: A graph capture could not hold it.
        BrokenInputError: It cannot be read.
    """
    audit(load_program(path), path.name)


def load_program(path: Path) -> ExportedProgram:
    """Read a program file.

    Raises:
        BrokenInputError: It cannot be read.
    """
    try:
        with _quick_reading():
            return torch.export.load(path)
    except Exception as error:  # torch raises whatever its parts do
        raise BrokenInputError(f"{path.name} is no exported program", found=str(error)) from error


@contextmanager
def _quick_reading() -> Iterator[None]:
    """Let torch look up the types of each class of its file format once instead of at every value.

    That is most of the time that reading a large program takes (torch 2.13,
    ``_dict_to_dataclass`` of torch/_export/serde/serialize.py); where a release does it
    otherwise, nothing changes.
    """
    serialize: Any = import_module("torch._export.serde.serialize")
    known: dict[type, dict[str, Any]] = {}

    def type_hints(kind: type, **options: Any) -> dict[str, Any]:
        if kind not in known:
            known[kind] = typing.get_type_hints(kind, **options)
        return known[kind]

    if getattr(serialize, "typing", None) is not typing:
        yield
        return
    quick = SimpleNamespace(**{**vars(typing), "get_type_hints": type_hints})
    serialize.typing = quick
    try:
        yield
    finally:
        serialize.typing = typing


def _fault(node: fx.Node) -> str | None:
    if node.op in ("placeholder", "output"):
        return _fault_of_values(node)
    if node.op != "call_function":
        return "a part of the program is called as a module"
    if isinstance(node.target, torch._ops.HigherOrderOperator):
        return f"{node.target} runs a part of the program of its own, as branches and loops"
    if not isinstance(node.target, torch._ops.OpOverload):
        allowed = getattr(node.target, "__name__", "") == "getitem"
        return _fault_of_values(node) if allowed else "something is computed on the host"
    return _fault_of_operator(node, node.target) or _fault_of_values(node)


def _fault_of_operator(node: fx.Node, operator: torch._ops.OpOverload) -> str | None:
    checks: tuple[tuple[Callable[[], bool], str], ...] = (
        (
            lambda: operator.namespace not in ("aten", "prims") and operator not in COLLECTIVES,
            "an operator is not one of torch's",
        ),
        (lambda: _TAG.data_dependent_output in operator.tags, _READ_BACK),
        (lambda: operator.overloadpacket is torch.ops.aten.is_nonzero, _READ_BACK),
        (
            lambda: _TAG.dynamic_output_shape in operator.tags and operator not in _INDEXING,
            _SHAPE,
        ),
        (lambda: indexes_by_mask(node), _SHAPE),
        (lambda: draws_random_numbers(node, operator), "random numbers are drawn"),
        (lambda: makes_a_tensor(operator), "a tensor is made on the host in every run"),
        (lambda: _names_device(node), "a tensor is copied to a named device"),
        (lambda: operator.overloadpacket is torch.ops.aten.pin_memory, "host memory is pinned"),
        (
            lambda: _TAG.inplace_view in operator.tags and operator not in _HARMLESS_VIEWS,
            "the shape or memory of a tensor is changed in place",
        ),
    )
    return next((reason for applies, reason in checks if applies()), None)


_INDEXING = (torch.ops.aten.index.Tensor,)
_HARMLESS_VIEWS = (torch.ops.aten.detach_.default,)
_WIDE = (torch.float64, torch.complex32, torch.complex64, torch.complex128)


def _fault_of_values(node: fx.Node) -> str | None:
    """What is wrong with the inputs and outputs of a node, whatever it computes."""
    values = [
        *pytree.tree_leaves(node.meta.get("val")),
        *pytree.tree_leaves((node.args, node.kwargs)),
    ]
    for value in values:
        if isinstance(value, SymInt | SymBool | SymFloat):
            return "a size is symbolic"
        if not isinstance(value, Tensor):
            continue
        if any(isinstance(size, SymInt) for size in (*value.shape, value.numel())):
            return "a size is symbolic"
        if value.layout is not torch.strided:
            return f"a tensor is {value.layout}"
        if value.dtype in _WIDE:
            return f"a tensor is {value.dtype}, which no card computes in"
    return None


def _names_device(node: fx.Node) -> bool:
    if node.target is torch.ops.aten._assert_tensor_metadata.default:
        return False
    return any(
        isinstance(value, torch.device) for value in pytree.tree_leaves((node.args, node.kwargs))
    )


def _describe(node: fx.Node) -> str:
    return node.name if node.op != "call_function" else f"{node.name} = {node.target}"


def _faults(paths: Sequence[Path]) -> Iterator[TricastError]:
    for path in paths:
        try:
            audit_file(path)
        except TricastError as error:
            yield error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m targets.gaudi.audit", description=__doc__)
    parser.add_argument("programs", type=Path, nargs="+", metavar="FILE.pt2")
    options = parser.parse_args(arguments)
    faults = list(_faults(options.programs))
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return faults[0].exit_code if faults else 0


if __name__ == "__main__":
    sys.exit(main())
