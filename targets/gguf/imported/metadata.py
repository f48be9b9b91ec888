"""The keys of a GGUF of an imported model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convert.architectures.base import DecoderConfig
from targets.gguf.imported.absorbing import latent_sizes
from targets.gguf.imported.expressing import keys_of
from targets.gguf.imported.facts import Facts
from targets.gguf.imported.mixing import mixing_keys, shared_width
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
    shapes = {each.name: each.shape for each in tensors}
    writer.add_feed_forward_length(_widths(config, shapes))
    keys = (
        *keys_of(facts, config, runs),
        *(latent_sizes(facts, runs) if runs.latent != "no" else ()),
        *mixing_keys(facts, config, runs, shared_width(shapes, config.layers)),
        *rotation_keys(facts, runs),
    )
    for name, value in keys:
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


def _widths(config: DecoderConfig, shapes: Mapping[str, tuple[int, ...]]) -> int | list[int]:
    """Inner width of the MLP, or of that of each layer where they differ; of experts if all are."""
    for name in ("blk.{}.ffn_down.weight", "blk.{}.ffn_down_exps.weight"):
        found = [shapes.get(name.format(layer)) for layer in range(config.layers)]
        widths = [shape[-1] for shape in found if shape is not None]
        if widths:
            return widths[0] if len({*widths}) == 1 or len(widths) < config.layers else widths
    return config.ffn
