"""Sixteen float32 numbers that are worked on together.

Left to itself, LLVM makes shorter vector instructions than the processor has, makes none of a loop
over a short block, and takes long over deciding so. These functions are its vector instructions
under plain names, and are written as calls within kernels. They are LLVM's own, not a
processor's: where a vector is too long for a processor, LLVM cuts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic, models, register_model

LANES = 16

Vector: TypeAlias = Any
"""What kernels hold sixteen numbers in."""

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTEGER = ir.IntType(32)
Generate = Callable[[Any, Any, Any, Sequence[Any]], Any]


class VectorType(types.Type):  # type: ignore[misc]
    """Sixteen float32 numbers, as numba's type."""

    def __init__(self) -> None:
        super().__init__(name="sixteen_floats")


_VECTOR = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: VectorType) -> None:
        super().__init__(manager, kind, _FLOATS)


def _instruction(typed: Callable[..., tuple[Any, Generate]]) -> Callable[..., Vector]:
    """What kernels call, of a function that says its type and generates its LLVM code."""
    return cast(Callable[..., Vector], intrinsic(typed))


def _pairwise(combine: Callable[[Any, Any, Any], Any]) -> Callable[[Vector, Vector], Vector]:
    """A function of two vectors that treats all lanes alike."""

    def typed(context: Any, first: Any, second: Any) -> tuple[Any, Generate]:
        def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
            return combine(builder, *arguments)

        return _VECTOR(_VECTOR, _VECTOR), generate

    return _instruction(typed)


def _shuffled(builder: Any, first: Any, second: Any, lanes: Sequence[int]) -> Any:
    wanted = ir.Constant(ir.VectorType(_INTEGER, len(lanes)), list(lanes))
    return builder.shuffle_vector(first, second, wanted)


def _at(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """A pointer to the sixteen numbers from ``array[index]`` on."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _FLOATS.as_pointer())


times = _pairwise(lambda builder, a, b: builder.fmul(a, b))
over = _pairwise(lambda builder, a, b: builder.fdiv(a, b))
plus = _pairwise(lambda builder, a, b: builder.fadd(a, b))
minus = _pairwise(lambda builder, a, b: builder.fsub(a, b))
least = _pairwise(lambda builder, a, b: builder.select(builder.fcmp_ordered("<", a, b), a, b))
greatest = _pairwise(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))


@_instruction
def spread(context: Any, value: Any) -> tuple[Any, Generate]:
    """The same float32 in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        nothing = ir.Constant(_FLOATS, ir.Undefined)
        one = builder.insert_element(nothing, arguments[0], ir.Constant(_INTEGER, 0))
        return _shuffled(builder, one, nothing, [0] * LANES)

    return _VECTOR(types.float32), generate


@_instruction
def load(context: Any, values: Any, start: Any) -> tuple[Any, Generate]:
    """The sixteen numbers of a float32 array from ``start`` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        loaded = builder.load(_at(context, builder, signature.args[0], *arguments))
        loaded.align = 4
        return loaded

    return _VECTOR(values, types.uint64), generate


@_instruction
def store(context: Any, vector: Any, values: Any, start: Any) -> tuple[Any, Generate]:
    """Write sixteen numbers to a float32 array, from ``start`` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        to = _at(context, builder, signature.args[1], arguments[1], arguments[2])
        builder.store(arguments[0], to).align = 4

    return types.void(_VECTOR, values, types.uint64), generate


@_instruction
def store_bytes(context: Any, vector: Any, codes: Any, start: Any) -> tuple[Any, Generate]:
    """Write sixteen numbers to an array of bytes: truncated to integers, and these modulo 256."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        vector, codes, start = arguments
        integers = builder.fptosi(vector, ir.VectorType(_INTEGER, LANES))
        stored = builder.trunc(integers, ir.VectorType(ir.IntType(8), LANES))
        data = context.make_array(signature.args[1])(context, builder, codes).data
        pointer = builder.bitcast(builder.gep(data, [start]), stored.type.as_pointer())
        builder.store(stored, pointer).align = 1

    return types.void(_VECTOR, codes, types.uint64), generate


@_instruction
def store_words(
    context: Any, first: Any, second: Any, third: Any, fourth: Any, words: Any, start: Any
) -> tuple[Any, Generate]:
    """Write sixteen words of 32 bits, each of four numbers 0 to 255, the first as lowest byte."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        kind = ir.VectorType(_INTEGER, LANES)
        joined = ir.Constant(kind, [0] * LANES)
        for number, vector in enumerate(arguments[:4]):
            shift = ir.Constant(kind, [8 * number] * LANES)
            joined = builder.or_(joined, builder.shl(builder.fptosi(vector, kind), shift))
        to = _at(context, builder, signature.args[4], arguments[4], arguments[5])
        builder.store(builder.bitcast(joined, _FLOATS), to).align = 4

    return types.void(*[_VECTOR] * 4, words, types.uint64), generate


@_instruction
def where_above(
    context: Any, tested: Any, bound: Any, value: Any, other: Any
) -> tuple[Any, Generate]:
    """In each lane ``value`` if ``tested > bound``, else ``other``, also where one is NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        tested, bound, value, other = arguments
        return builder.select(builder.fcmp_ordered(">", tested, bound), value, other)

    return _VECTOR(_VECTOR, _VECTOR, _VECTOR, _VECTOR), generate


@_instruction
def fused(context: Any, first: Any, second: Any, third: Any) -> tuple[Any, Generate]:
    """``first * second + third``, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
        multiply_add = get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32")
        return builder.call(multiply_add, arguments)

    return _VECTOR(_VECTOR, _VECTOR, _VECTOR), generate


@_instruction
def transpose(
    context: Any, values: Any, start: Any, stride: Any, turned: Any, to: Any
) -> tuple[Any, Generate]:
    """Write the columns of a square of sixteen rows, one after the other.

    Each of four steps interleaves the vectors of the lower half with those of the upper half.

    Args:
        values: Numbers of 32 bits.
        start: Of the first row.
        stride: From one row to the next.
        turned: Float32; written from ``to`` on.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        values, start, stride, turned, to = arguments
        square = []
        for lane in range(LANES):
            offset = builder.mul(stride, ir.Constant(stride.type, lane))
            at = builder.add(start, offset)
            square.append(builder.load(_at(context, builder, signature.args[0], values, at)))
            square[-1].align = 4
        halves = (range(LANES // 2), range(LANES // 2, LANES))
        orders = [[lane for i in half for lane in (i, i + LANES)] for half in halves]
        for _ in range(4):
            pairs = zip(square[: LANES // 2], square[LANES // 2 :], strict=True)
            square = [_shuffled(builder, a, b, order) for a, b in pairs for order in orders]
        first = _at(context, builder, signature.args[3], turned, to)
        for lane in range(LANES):
            pointer = builder.gep(first, [ir.Constant(_INTEGER, lane)])
            builder.store(square[lane], pointer).align = 4

    return types.void(values, types.uint64, types.uint64, turned, types.uint64), generate
