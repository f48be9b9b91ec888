"""Rotations of an imported graph in the keys, tensors and row orders of llama.cpp."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from targets.gguf.imported.absorbing import scale_keys
from targets.gguf.imported.attending import Attention
from targets.gguf.imported.expressing import Key, refusal
from targets.gguf.imported.facts import Facts
from targets.gguf.imported.heads import NORMS, ROTARY
from targets.gguf.imported.rotations import Rotation
from targets.gguf.imported.runs import Runs

_FOUR = 4


def rotation_keys(facts: Facts, runs: Runs) -> list[Key]:
    """The keys of the rotations.

    Raises:
        UnsupportedConfigError: The architecture rotates otherwise.
    """
    _require_places(facts, runs)
    if runs.rotation is None:
        return []
    whole, windowed = _rotations(facts, runs)
    main = whole or windowed
    if main is None:
        raise refusal(runs, "positions that are not rotated")
    if runs.latent == "split":
        return [*_main_keys(main, runs, scaled=False), *scale_keys(facts, main, runs)]
    return [*_main_keys(main, runs), *_window_keys(main, windowed, runs)]


def long_factors(facts: Facts, runs: Runs) -> dict[str, NDArray[np.float32]]:
    """What llama.cpp divides each frequency by in short and in long texts, ``[pairs]``, by name."""
    main = None if runs.rotation is None else _rotations(facts, runs)[0]
    if main is None or main.longer is None:
        return {}
    return {
        "rope_factors_short.weight": main.factors.astype(np.float32),
        "rope_factors_long.weight": main.factors_of(main.longer.frequencies).astype(np.float32),
    }


def rotary_factors(facts: Facts, runs: Runs) -> NDArray[np.float32] | None:
    """What llama.cpp divides each frequency by, ``[pairs]``; None if all by the same."""
    main = None if runs.rotation is None else _rotations(facts, runs)[0]
    if main is None or main.longer is not None or main.divisor is not None or not runs.factors:
        return None
    return main.factors.astype(np.float32)


def rotated_rows(
    rows: NDArray[np.int64], rotation: Rotation | None, runs: Runs, start: int = 0
) -> NDArray[np.int64]:
    """Rows of heads, ``[heads, head size]``, with both of a pair where llama.cpp has them.

    Args:
        rows: Of the layer that makes them.
        rotation: Of some of the elements of a head.
        runs: What llama.cpp computes.
        start: The first of these elements.
    """
    if rotation is None or rotation.in_turn == (runs.rotation == "in_turn"):
        return rows
    count = rotation.size
    pairs = (count // 2, 2) if rotation.in_turn else (2, count // 2)
    turned = rows[:, start : start + count].reshape(len(rows), *pairs).swapaxes(1, 2)
    result: NDArray[np.int64] = rows.copy()
    result[:, start : start + count] = turned.reshape(len(rows), count)
    return result


def _require_places(facts: Facts, runs: Runs) -> None:
    """Refuse rotations in other layers, or in another place, than the architecture has them."""
    for number, each in enumerate(facts.attentions):
        wanted = runs.rotation is not None
        if runs.rotated == "three_of_four":
            wanted = (number + 1) % _FOUR != 0
        elif runs.rotated == "windowed":
            wanted = each.window is not None
        if wanted != (each.rotation is not None):
            feature = "rotated positions" if not wanted else "positions that are not rotated"
            raise refusal(runs, f"{feature} in layer {number}")
        _require_order(each, runs)


def _require_order(attention: Attention, runs: Runs) -> None:
    way = [kind for kind in attention.queries.way if kind == ROTARY or kind in NORMS]
    if len(way) < 2 or ROTARY not in way:
        return
    if (way.index(ROTARY) == 0) != runs.norm_after_rotation or len(way) > 2:
        raise refusal(runs, f"queries that go through {', '.join(way)}")


def _rotations(facts: Facts, runs: Runs) -> tuple[Rotation | None, Rotation | None]:
    """Of layers that see everything, and of those with a window where these may differ."""
    kinds: dict[bool, Rotation] = {}
    for each in facts.attentions:
        if each.rotation is None:
            continue
        windowed = each.window is not None and runs.windows
        known = kinds.setdefault(windowed, each.rotation)
        if not known.equals(each.rotation):
            raise refusal(runs, "rotations that differ between layers")
    return kinds.get(False), kinds.get(True)


def _main_keys(rotation: Rotation, runs: Runs, *, scaled: bool = True) -> Iterator[Key]:
    import gguf

    yield "rope_dimension_count", rotation.size
    yield "rope_freq_base", rotation.base
    if rotation.longer is not None:
        if not runs.long_factors or not scaled:
            raise refusal(runs, "rotations that differ in longer texts", rotation.longer.tokens)
        yield "rope_scaling_type", gguf.RopeScalingType.LONGROPE
        yield "rope_scaling_orig_ctx_len", rotation.longer.tokens
        yield "rope_scaling_attn_factors", rotation.factor
        return
    stretch = rotation.stretch
    if rotation.divisor is None and not runs.factors:
        if stretch is None:
            raise refusal(runs, "this scaling of the rotary frequencies", rotation.factors.tolist())
        yield "rope_scaling_type", gguf.RopeScalingType.YARN
        yield "rope_scaling_factor", stretch.factor
        yield "rope_scaling_orig_ctx_len", stretch.original
        if scaled:
            yield "rope_scaling_attn_factors", rotation.factor / stretch.inherent
        return
    if rotation.divisor is not None and rotation.divisor != 1:
        yield "rope_scaling_type", gguf.RopeScalingType.LINEAR
        yield "rope_scaling_factor", rotation.divisor
    if scaled and rotation.factor != 1:
        yield "rope_scaling_attn_factors", rotation.factor


def _window_keys(main: Rotation, windowed: Rotation | None, runs: Runs) -> Iterator[Key]:
    if windowed is None:
        return
    own = runs.window_base == "own"
    plain = windowed.divisor == 1 and windowed.factor == 1 and windowed.size == main.size
    alike = windowed.equals(main)
    if own and plain and (main.factor == 1 or alike):
        yield "rope_freq_base_swa", windowed.base
    elif runs.window_base == "unscaled":
        if not plain or not math.isclose(windowed.base, main.base, rel_tol=1e-6):
            raise refusal(runs, "this rotation of layers with a window")
    elif not alike:
        raise refusal(runs, "another rotation of layers with a window")
