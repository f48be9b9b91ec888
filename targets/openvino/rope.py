"""Rotary embedding, half rotation: x · cos + (-x₂ ‖ x₁) · sin, in the form that fuses to RoPE."""

from __future__ import annotations

import numpy as np
from openvino import Node
from openvino import opset13 as ops


def full_angles(half: Node) -> Node:
    """Repeat ``half`` ``[B, S, D/2]`` (cos or sin) over both halves: ``[B, 1, S, D]``."""
    return ops.unsqueeze(ops.concat([half, half], axis=-1), np.array([1], np.int64))


def rotate(x: Node, cos: Node, sin: Node, *, head_dim: int) -> Node:
    """Rotate pairs (i, i + D/2) of ``x`` ``[B, H, S, D]`` by the angles of ``cos`` and ``sin``.

    Args:
        x: f32 ``[B, H, S, D]``.
        cos: f32 ``[B, 1, S, D]`` from `full_angles`.
        sin: As ``cos``.
        head_dim: D.

    The runtime recognizes the halves only as Slice, and the negation only as a product with a
    constant of rank 4; Split or Negative leave the rotation unfused.
    """
    half = head_dim // 2
    first = _last_axis(x, 0, half)
    second = _last_axis(x, half, head_dim)
    negated = ops.multiply(second, np.full((1, 1, 1, 1), -1.0, np.float32))
    rotated = ops.concat([negated, first], axis=-1)
    return ops.add(ops.multiply(x, cos), ops.multiply(rotated, sin))


def _last_axis(x: Node, start: int, stop: int) -> Node:
    one = np.array([1], np.int64)
    bounds = (np.array([start], np.int64), np.array([stop], np.int64))
    return ops.slice(x, *bounds, one, np.array([3], np.int64))


def in_halves(x: Node, *, size: int, head_dim: int) -> Node:
    """The first ``size`` elements of each head of ``x`` ``[B, H, S, D]``, every second one first.

    So pairs (2i, 2i + 1) become (i, i + size/2), which `rotate` takes: no form of a rotation of
    neighbours fuses for any shape. Of queries and keys alike, no product notices.
    """
    return _reordered(x, (-1, 2), size=size, head_dim=head_dim)


def in_turn(x: Node, *, size: int, head_dim: int) -> Node:
    """The reverse of `in_halves`."""
    return _reordered(x, (2, -1), size=size, head_dim=head_dim)


def _reordered(x: Node, pairs: tuple[int, int], *, size: int, head_dim: int) -> Node:
    first = x if size == head_dim else first_elements(x, size)
    paired = ops.reshape(first, np.array([0, 0, 0, *pairs], np.int64), special_zero=True)
    swapped = ops.transpose(paired, np.array([0, 1, 2, 4, 3], np.int64))
    moved = ops.reshape(swapped, np.array([0, 0, 0, size], np.int64), special_zero=True)
    return moved if size == head_dim else rotate_first(x, moved, size=size, head_dim=head_dim)


def rotate_first(x: Node, rotated: Node, *, size: int, head_dim: int) -> Node:
    """Heads whose first ``size`` elements are ``rotated``, and whose others are those of ``x``."""
    return ops.concat([rotated, _last_axis(x, size, head_dim)], axis=-1)


def first_elements(x: Node, size: int) -> Node:
    """The first ``size`` elements of each head of ``x`` ``[B, H, S, D]``."""
    return _last_axis(x, 0, size)
