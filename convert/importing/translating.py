"""From a traced program to a graph in standard operators, one operator at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from convert.architectures.builder import IR_VERSION, OPSET
from convert.errors import UnsupportedArchitectureError
from convert.graph import (
    ATTENTION_MASK,
    BATCH,
    INPUT_IDS,
    LOGITS,
    POSITION_IDS,
    SEQUENCE,
    TOTAL_SEQUENCE,
)
from convert.importing.aten.attention import ATTENTION
from convert.importing.aten.choosing import CHOOSING
from convert.importing.aten.complexes import COMPLEX, Complex, of_complex
from convert.importing.aten.elementwise import ELEMENTWISE
from convert.importing.aten.experts import EXPERTS
from convert.importing.aten.products import PRODUCTS
from convert.importing.aten.shapes import SHAPES
from convert.importing.aten.tables import TABLES
from convert.importing.call import Call, Handler, NoFormError
from convert.importing.in_place import InPlace
from convert.importing.skeleton import Skeleton
from convert.importing.tracing import Trace
from convert.importing.translation import INT64, Translation
from convert.importing.unread import note_unread

HANDLERS: Mapping[str, Handler] = {
    **ELEMENTWISE,
    **SHAPES,
    **TABLES,
    **PRODUCTS,
    **ATTENTION,
    **EXPERTS,
    **CHOOSING,
    **COMPLEX,
}
"""Every operator of torch that has a form."""

_INPUTS = {
    INPUT_IDS: (BATCH, SEQUENCE),
    ATTENTION_MASK: (BATCH, TOTAL_SEQUENCE),
    POSITION_IDS: (BATCH, SEQUENCE),
}

_CHECKS = (
    "aten._assert_tensor_metadata",
    "aten._assert_scalar",
    "aten._assert_async",
    "aten.sym_constrain_range",
)
"""What a program says of itself; nothing follows from it."""

_WRAPPERS = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}
"""Operators that run a program of their own: the place of that among their arguments."""


def translate(trace: Trace, skeleton: Skeleton) -> ir.Model:
    """The graph, with an initializer without a weight for each parameter.

    Raises:
        UnsupportedArchitectureError: An operator has no form; all such are named.
    """
    program = trace.program
    _refuse_unknown(program, type(skeleton.model).__name__)
    inputs = {
        name: ir.Value(name=name, type=ir.TensorType(INT64), shape=ir.Shape(axes))
        for name, axes in _INPUTS.items()
    }
    sources = {
        BATCH: (inputs[INPUT_IDS], 0),
        SEQUENCE: (inputs[INPUT_IDS], 1),
        TOTAL_SEQUENCE: (inputs[ATTENTION_MASK], 1),
    }
    walk = _Walk(trace, skeleton, Translation(trace.axes, sources))
    logits = walk.run(inputs)
    graph = ir.Graph(
        list(inputs.values()),
        [logits],
        nodes=walk.to.nodes,
        initializers=list(walk.to.initializers.values()),
        opset_imports={"": OPSET, "tricast": 1},
        name=str(skeleton.model.config.model_type),
    )
    model = ir.Model(graph, ir_version=IR_VERSION, producer_name="tricast")
    note_unread(model, skeleton.aliases)
    return model


class _Walk:
    """One walk over a program."""

    def __init__(self, trace: Trace, skeleton: Skeleton, to: Translation) -> None:
        self._trace, self._skeleton, self.to = trace, skeleton, to
        self._in_place = InPlace(to, _operator)

    def run(self, inputs: Mapping[str, ir.Value]) -> ir.Value:
        """The logits."""
        program = self._trace.program
        given = [self._input(spec, inputs) for spec in program.graph_signature.input_specs]
        (logits,) = self._run(program.graph_module, given)[:1]
        assert isinstance(logits, ir.Value)
        producer = logits.producer()
        if producer is None:
            raise UnsupportedArchitectureError("the logits do not follow from the inputs")
        logits.name = LOGITS
        return logits

    def _input(self, spec: Any, inputs: Mapping[str, ir.Value]) -> Any:
        """The value of an input of the program; None for a number that is none of the graph's."""
        program, kind = self._trace.program, spec.kind.name
        if kind == "USER_INPUT":
            return inputs.get(str(spec.arg.name))
        target = str(spec.target)
        name = target.removeprefix(self._trace.prefix)
        if name in self._skeleton.buffers:
            return self.to.table(name, _as_stored(self._skeleton.buffers[name]))
        if kind == "CONSTANT_TENSOR" or target in program.constants:
            return self.to.table(name, _as_stored(_numbers(program.constants[target])))
        name = self._skeleton.aliases.get(name, name)
        tensor = program.state_dict[target]
        found = self.to.initializers.get(name)
        return found or self.to.placeholder(name, [int(size) for size in tensor.shape])

    def _run(self, module: Any, given: Sequence[Any]) -> Sequence[Any]:
        values: dict[Any, Any] = {}
        waiting = iter(given)
        for node in module.graph.nodes:
            if node.op == "placeholder":
                values[node] = next(waiting)
            elif node.op == "get_attr":
                values[node] = self._attribute(module, node)
            elif node.op == "output":
                outputs = _arguments(node.args[0], values)
                return outputs if isinstance(outputs, list | tuple) else [outputs]
            else:
                values[node] = self._called(node, values)
        raise AssertionError("a program ends in its output")

    def _attribute(self, module: Any, node: Any) -> Any:
        found = module
        for part in str(node.target).split("."):
            found = getattr(found, part)
        if hasattr(found, "graph"):
            return found
        return self.to.table(str(node.target), _as_stored(found.detach().numpy()))

    def _called(self, node: Any, values: dict[Any, Any]) -> Any:
        name = _operator(node)
        if name.startswith(_CHECKS):
            return None
        meta = node.meta.get("val")
        if _is_number(meta):
            return meta
        arguments = _arguments(node.args, values)
        if name == "getitem":
            return arguments[0][arguments[1]]
        if name in _WRAPPERS:
            place = _WRAPPERS[name]
            return tuple(self._run(arguments[place], arguments[place + 1 :]))
        self.to.scope = _scope(node, self._trace.prefix)
        named = _named(node, arguments, _arguments(node.kwargs, values))
        try:
            made = _made(name, Call(self.to, named, meta))
        except (NoFormError, KeyError) as error:
            raise UnsupportedArchitectureError(
                f"a call of {name} in {self.to.scope or 'the model'} has no form here",
                found=str(error),
            ) from error
        if name.split(".")[1].endswith("_") and not name.split(".")[1].endswith("__"):
            self._in_place.write(node, values, made)
        return made


def _made(name: str, call: Call) -> Any:
    if any(isinstance(each, Complex) for each in call.arguments.values()):
        return of_complex(name, call, HANDLERS)
    return HANDLERS[name](call)


def _refuse_unknown(program: Any, model: str) -> None:
    names = {_operator(node): node for node in _calls(program.graph_module)}
    unknown = sorted(
        name
        for name, node in names.items()
        if name not in HANDLERS
        and name not in _WRAPPERS
        and name != "getitem"
        and not name.startswith(_CHECKS)
        and not _is_number(node.meta.get("val"))
    )
    if unknown:
        raise UnsupportedArchitectureError(
            f"{model} uses operators of torch that have no form here", found=", ".join(unknown)
        )


def _calls(module: Any) -> Iterator[Any]:
    for each in module.modules():
        if hasattr(each, "graph"):
            yield from (node for node in each.graph.nodes if node.op == "call_function")


def _operator(node: Any) -> str:
    """``aten.linear.default``, ``tricast.mask.default``, ``getitem``."""
    target = node.target
    return str(target) if hasattr(target, "_schema") else str(target.__name__)


def _is_number(meta: Any) -> bool:
    return isinstance(meta, int | float | bool) or type(meta).__name__ in (
        *("SymInt", "SymFloat", "SymBool"),
    )


def _scope(node: Any, prefix: str) -> str:
    """Path of the innermost module that is at work."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return path.removeprefix(prefix.rstrip(".")).lstrip(".")


def _arguments(given: Any, values: Mapping[Any, Any]) -> Any:
    """Arguments with the values of nodes in their places."""
    if isinstance(given, list | tuple):
        return [_arguments(item, values) for item in given]
    if isinstance(given, Mapping):
        return {key: _arguments(item, values) for key, item in given.items()}
    return values[given] if type(given).__name__ == "Node" else given


def _named(node: Any, positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    parameters = node.target._schema.arguments
    found = {each.name: each.default_value for each in parameters if each.has_default_value()}
    found |= {each.name: item for each, item in zip(parameters, positional, strict=False)}
    # In the order of the schema, whose first is the operand.
    found |= named
    return {each.name: found[each.name] for each in parameters if each.name in found}


def _numbers(tensor: Any) -> Any:
    if tensor.is_meta:
        raise UnsupportedArchitectureError(
            "the model makes a tensor while it runs whose numbers no trace keeps",
            found=f"a tensor of shape {list(tensor.shape)}",
        )
    return tensor.numpy()


def _as_stored(values: Any) -> Any:
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype == np.float64 else array
