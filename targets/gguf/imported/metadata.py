"""The keys of a GGUF of an imported model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convert.architectures.base import DecoderConfig
from targets.gguf.imported.expressing import keys_of
from targets.gguf.imported.facts import Facts
from targets.gguf.imported.rotating import rotation_keys
from targets.gguf.imported.runs import Runs
from targets.gguf.tensors import StoredTensor


def add_hyperparameters(
    writer: Any,
    config: DecoderConfig,
    facts: Facts,
    runs: Runs,
    tensors: Sequence[StoredTensor],
) -> None:
    """Write sizes, norms, scales, windows and rotations.

    Args:
        writer: A gguf.GGUFWriter.
        config: Of the model.
        facts: What its graph computes.
        runs: What llama.cpp's architecture computes.
        tensors: Of the file, whose shapes say how wide an MLP is.

    Raises:
        UnsupportedConfigError: The architecture computes something else.
    """
    writer.add_context_length(context_length(config, facts, runs, tensors))
    writer.add_feed_forward_length(_widths(config, tensors))
    for name, value in (*keys_of(facts, config, runs), *rotation_keys(facts, runs)):
        getattr(writer, f"add_{name}")(value)


def smallest_window(facts: Facts, runs: Runs) -> int | None:
    """Tokens that the layer with the shortest window sees, where llama.cpp has no windows."""
    windows = [each.window for each in facts.attentions if each.window is not None]
    return None if runs.windows else min(windows, default=None)


def context_length(
    config: DecoderConfig, facts: Facts, runs: Runs, tensors: Sequence[StoredTensor]
) -> int:
    """Tokens for which llama.cpp computes what the model was trained to compute."""
    positions = [each.shape[0] for each in tensors if each.name.startswith("position_embd.")]
    longest = positions[0] if positions else config.max_positions
    window = smallest_window(facts, runs)
    return longest if window is None else min(window, longest)


def _widths(config: DecoderConfig, tensors: Sequence[StoredTensor]) -> int | list[int]:
    """Inner width of the MLP, or of that of each layer where they differ."""
    shapes = {each.name: each.shape for each in tensors}
    downs = [shapes.get(f"blk.{layer}.ffn_down.weight") for layer in range(config.layers)]
    widths = [shape[1] for shape in downs if shape is not None]
    if not widths or len(widths) < config.layers:
        return config.ffn
    return widths[0] if len(set(widths)) == 1 else widths
