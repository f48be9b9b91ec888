"""Products with the matrices of experts written out: each expert multiplies its own rows.

    y = ExpertLinear(x, visits, W)  =  Concat(x_0 W_0ᵀ, x_1 W_1ᵀ, ...),  x = x_0 above x_1 above ...

The rows of ``x`` are in the order of their experts, of which ``visits`` has one for each row, in
any order. As in the hand-written graphs, no product is computed that is not used, and the matrix
of each expert is a parameter of its own. Comes last: no other pass has to walk past them all.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.graph import remove_dead_nodes
from convert.importing.aten.attention import DOMAIN
from convert.importing.aten.experts import EXPERT_LINEAR
from convert.importing.deriving import note_turned
from convert.importing.expert_parts import note_parted, part_pattern
from convert.importing.raising.patterns import Rewriter, is_parameter, scope_of, size_of
from passes.base import Pass

_INT64, _BOOL = ir.DataType.INT64, ir.DataType.BOOL


class WriteExperts(Pass):
    """See the module."""

    name = "write_experts"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        nodes = [node for node in model.graph if _is_expert_linear(node)]
        if not nodes:
            return False
        writer = _Writer(model)
        for node in nodes:
            writer.write(node)
        note_parted(model, writer.counts)
        note_turned(model, writer.turned)
        for name in writer.counts:
            del model.graph.initializers[name]
        model.graph.opset_imports.pop(DOMAIN, None)
        remove_dead_nodes(model)
        return True

    def ensures(self, model: ir.Model) -> None:
        assert not any(_is_expert_linear(node) for node in model.graph)


class _Writer:
    """One walk over a graph.

    Args:
        model: The graph.
    """

    def __init__(self, model: ir.Model) -> None:
        self._graph, self._to = model.graph, Rewriter(model)
        self._sizes: dict[ir.Value, ir.Value] = {}
        self.counts: dict[str, int] = {}
        self.turned: list[str] = []

    def write(self, node: ir.Node) -> None:
        x, visits, weight, *bias = node.inputs
        assert x is not None and visits is not None and weight is not None
        count = size_of(weight, 0)
        assert count is not None and is_parameter(weight), f"{node.name} has no matrices"
        turned = bool(node.attributes["turned"].as_int())
        matrices = self._parts(weight, turned=turned)
        biases = self._parts(bias[0]) if bias and bias[0] is not None else [None] * count
        shares = self._split(node, x, self._sizes_of(node, visits, count), matrices)
        made = [
            self._linear(node, share, matrix, vector)
            for share, matrix, vector in zip(shares, matrices, biases, strict=True)
        ]
        result = node.outputs[0]
        name = f"{_module(matrices[0])}.Concat"
        joined = self._to.op(
            node, "Concat", made, shape=result.shape, attributes={"axis": 0}, name=name
        )
        self._to.replace(result, joined)
        self._graph.remove(node, safe=True)

    def _parts(self, whole: ir.Value, *, turned: bool = False) -> list[ir.Value]:
        """A parameter for each expert in place of one for all."""
        name, (count, *shape) = str(whole.name), _numbers(whole)
        self.counts[name] = count
        found = []
        for number in range(count):
            part = ir.Value(
                name=part_pattern(name).format(number),
                type=ir.TensorType(ir.DataType.FLOAT),
                shape=ir.Shape(shape[::-1] if turned else shape),
            )
            self._graph.initializers[str(part.name)] = part
            found.append(part)
        if turned:
            self.turned += [str(part.name) for part in found]
        return found

    def _sizes_of(self, node: ir.Node, visits: ir.Value, count: int) -> ir.Value:
        """How many rows each expert has, i64 ``[E]``; computed once for a layer."""
        if visits not in self._sizes:
            scope, to = scope_of(node), self._to
            numbers = to.constant(np.arange(count)[None], f"experts_{count}")
            axis = to.constant(np.array([1]), "constant_1_axis")
            assert visits.shape is not None
            rows = visits.shape[0]
            column = to.op(
                node,
                "Unsqueeze",
                (visits, axis),
                shape=(rows, 1),
                dtype=_INT64,
                name=f"{scope}.visits",
            )
            table = (rows, count)
            hits = to.op(
                node, "Equal", (column, numbers), shape=table, dtype=_BOOL, name=f"{scope}.hits"
            )
            ones = to.op(
                node,
                "Cast",
                (hits,),
                shape=table,
                dtype=_INT64,
                name=f"{scope}.hits.Cast",
                attributes={"to": int(_INT64)},
            )
            first = to.constant(np.array([0]), "constant_0_axis")
            self._sizes[visits] = to.op(
                node,
                "ReduceSum",
                (ones, first),
                shape=(count,),
                dtype=_INT64,
                name=f"{scope}.counts",
                attributes={"keepdims": 0},
            )
        return self._sizes[visits]

    def _split(
        self, node: ir.Node, x: ir.Value, sizes: ir.Value, matrices: list[ir.Value]
    ) -> list[ir.Value]:
        names = [f"{_module(matrix)}.tokens" for matrix in matrices]
        shares = [
            ir.Value(
                name=name,
                type=ir.TensorType(ir.DataType.FLOAT),
                shape=ir.Shape((name, size_of(x, -1))),
            )
            for name in names
        ]
        axis = [ir.convenience.convert_attribute("axis", 0)]
        name = f"{_module(matrices[0])}.Split"
        split = ir.Node("", "Split", (x, sizes), axis, outputs=shares, name=name)
        self._graph.insert_before(node, split)
        return shares

    def _linear(
        self, node: ir.Node, share: ir.Value, matrix: ir.Value, bias: ir.Value | None
    ) -> ir.Value:
        to, scope = self._to, _module(matrix)
        out, columns = _numbers(matrix)
        turned = to.op(
            node,
            "Transpose",
            (matrix,),
            shape=(columns, out),
            name=f"{scope}.Transpose",
            attributes={"perm": (1, 0)},
        )
        assert share.shape is not None
        shape = (share.shape[0], out)
        y = to.op(node, "MatMul", (share, turned), shape=shape, name=f"{scope}.MatMul")
        if bias is None:
            return y
        return to.op(node, "Add", (y, bias), shape=shape, name=f"{scope}.Add")


def _is_expert_linear(node: ir.Node) -> bool:
    return (node.domain, node.op_type) == (DOMAIN, EXPERT_LINEAR)


def _module(parameter: ir.Value) -> str:
    return str(parameter.name).removesuffix(".weight")


def _numbers(value: ir.Value) -> tuple[int, ...]:
    assert value.shape is not None
    return tuple(value.shape.numpy())
