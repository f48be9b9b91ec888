"""Products with bfloat16 weights in the matrix tiles of a processor (Intel's AMX), as stored.

A tile is 16 rows of 64 bytes; one instruction multiplies a tile of 16 x 32 bfloat16 weights with
one of 32 x 16 inputs and adds the products up in float32. Inputs are split into two bfloat16
numbers each, which together have 16 significant bits; so a sum is nearly as exact as in float32.
What an output is does not depend on the rows that are multiplied together with its own.

Instructions: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from passes.encodings.kernels.bits import bits_of, float_of
from passes.encodings.kernels.compiling import Bits, Bytes, Floats, Index, Words, compiled
from passes.encodings.kernels.vectors import transpose

SIDE, PAIR = np.uint64(16), np.uint64(32)
"""Rows of a tile; rows, tokens or features that are worked on together."""

TILE = np.uint64(512)
"""Numbers of 16 bits in a tile."""

TWO = np.uint64(2)

DEPTH = np.uint64(1024)
"""Features that are multiplied at a time: their inputs stay in a core's cache."""

_BYTE, _LONG, _VOID = ir.IntType(8), ir.IntType(64), ir.VoidType()
_SUMS, _WEIGHTS, _INPUTS = (0, 1, 2, 3), (4, 5), (6, 7)
"""Numbers of tiles."""

Generate = Callable[[Any, Any, Any, Sequence[Any]], Any]


def _instruction(typed: Callable[..., tuple[Any, Generate]]) -> Callable[..., None]:
    return cast(Callable[..., None], intrinsic(typed))


def _emit(builder: Any, name: str, *arguments: Any) -> None:
    """Call an instruction: numbers of tiles, then perhaps a pointer and bytes between rows."""
    given = [_BYTE(each) if isinstance(each, int) else each for each in arguments]
    kind = ir.FunctionType(_VOID, [each.type for each in given])
    builder.call(get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), given)


def _at(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _BYTE.as_pointer())


@_instruction
def begin(context: Any, shapes: Any) -> tuple[Any, Generate]:
    """Give this thread's tiles their shapes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        start = _at(context, builder, signature.args[0], arguments[0], _LONG(0))
        _emit(builder, "ldtilecfg", start)

    return types.void(shapes), generate


@_instruction
def end(context: Any) -> tuple[Any, Generate]:
    """Let go of the tiles."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        _emit(builder, "tilerelease")

    return types.void(), generate


@_instruction
def load_sums(context: Any, sums: Any, start: Any, stride: Any) -> tuple[Any, Generate]:
    """Load 32 x 32 sums from ``start`` on, their rows being ``stride`` numbers apart."""
    return types.void(sums, types.uint64, types.uint64), _moving_sums("tileloadd64")


@_instruction
def store_sums(context: Any, sums: Any, start: Any, stride: Any) -> tuple[Any, Generate]:
    """As `load_sums`, the other way."""
    return types.void(sums, types.uint64, types.uint64), _moving_sums("tilestored64")


def _moving_sums(name: str) -> Generate:
    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        sums, start, stride = arguments
        for number, tile in enumerate(_SUMS):
            below = builder.mul(stride, _LONG(number // 2 * 16))
            at = builder.add(builder.add(start, below), _LONG(number % 2 * 16))
            pointer = _at(context, builder, signature.args[0], sums, at)
            _emit(builder, name, tile, pointer, builder.mul(stride, _LONG(4)))

    return generate


@_instruction
def add_products(
    context: Any, words: Any, start: Any, stride: Any, inputs: Any, first: Any
) -> tuple[Any, Generate]:
    """Add to 32 x 32 sums the products of 32 features.

    Args:
        words: Weights, their rows being ``stride`` apart.
        start: Of the first row's.
        inputs: As `split_inputs` lays them out.
        first: Of these inputs.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
        words, start, stride, inputs, first = arguments
        for number, tile in enumerate(_WEIGHTS):
            at = builder.add(start, builder.mul(stride, _LONG(16 * number)))
            pointer = _at(context, builder, signature.args[0], words, at)
            _emit(builder, "tileloadd64", tile, pointer, builder.mul(stride, _LONG(2)))
        for part in range(2):
            for number, tile in enumerate(_INPUTS):
                at = builder.add(first, _LONG(256 * (2 * part + number)))
                pointer = _at(context, builder, signature.args[3], inputs, at)
                _emit(builder, "tileloadd64", tile, pointer, _LONG(64))
            for tile in _SUMS:
                _emit(builder, "tdpbf16ps", tile, _WEIGHTS[tile // 2], _INPUTS[tile % 2])

    return types.void(words, types.uint64, types.uint64, inputs, types.uint64), generate


@compiled
def upper_half(bits: np.uint32) -> np.uint32:
    """The bits of the bfloat16 nearest to a finite float32; of two the even one."""
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    half: np.uint32 = np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)
    return half


@compiled
def lower_half(bits: np.uint32) -> np.uint32:
    """Of what `upper_half` leaves over."""
    rest = float_of(bits) - float_of(np.uint32(upper_half(bits) << np.uint32(16)))
    return upper_half(bits_of(rest))


@compiled
def split_inputs(tokens: Bits, inputs: Bits) -> None:
    """Lay inputs out as tiles: of 32 tokens, of 32 features, their larger and smaller parts.

    Args:
        tokens: The bits of float32 ``[tokens, features]``.
        inputs: Pairs of bfloat16, set where there are tokens; ``[tokens / 32, features / 32,
            part (2), tokens (2), pairs of features (16), tokens (16)]``.
    """
    features, upper = np.uint64(tokens.shape[1]), np.uint32(16)
    for t in range(np.uint64(tokens.shape[0])):
        start = t // PAIR * PAIR * features + t % PAIR // SIDE * (TILE // TWO) + t % SIDE
        for f in range(np.uint64(0), features, PAIR):
            for pair in range(SIDE):
                at = start + f * PAIR + pair * SIDE
                one, other = tokens[t, f + TWO * pair], tokens[t, f + TWO * pair + np.uint64(1)]
                inputs[at] = upper_half(one) | upper_half(other) << upper
                inputs[at + TILE] = lower_half(one) | lower_half(other) << upper


@compiled
def multiply_tiles(shapes: Bytes, words: Words, inputs: Bits, tokens: Index, out: Floats) -> None:
    """Multiply inputs with rows of a weight.

    Args:
        shapes: See `tile_shapes`.
        words: The bits of bfloat16 ``[32 * n, 32 * m]``.
        inputs: As `split_inputs` lays them out.
        tokens: A multiple of 32.
        out: Set to the products ``[at most tokens, at most 32 * n]``.
    """
    rows, features = np.uint64(words.shape[0]), np.uint64(words.shape[1])
    flat, sums = words.reshape(-1), np.zeros(rows * tokens, np.float32)
    begin(shapes)
    for low in range(np.uint64(0), features, DEPTH):
        high = min(low + DEPTH, features)
        for r in range(np.uint64(0), rows, PAIR):
            for t in range(np.uint64(0), tokens, PAIR):
                load_sums(sums, r * tokens + t, tokens)
                for f in range(low, high, PAIR):
                    at = t * features + f * PAIR
                    add_products(flat, r * features + f, features, inputs, at)
                store_sums(sums, r * tokens + t, tokens)
    end()
    turned = np.empty(SIDE * SIDE, np.float32)
    for r in range(np.uint64(0), np.uint64(out.shape[1]), SIDE):
        for t in range(np.uint64(0), np.uint64(out.shape[0]), SIDE):
            transpose(sums, r * tokens + t, tokens, turned, np.uint64(0))
            for i in range(min(SIDE, np.uint64(out.shape[0]) - t)):
                for j in range(min(SIDE, np.uint64(out.shape[1]) - r)):
                    out[t + i, r + j] = turned[i * SIDE + j]


def tile_shapes() -> Bytes:
    """What `begin` loads: palette 1, and 16 rows of 64 bytes for each of the eight tiles."""
    shapes = np.zeros(64, np.uint8)
    shapes[0] = 1
    shapes[16:32].view(np.uint16)[:] = 64
    shapes[48:56] = 16
    return shapes
