"""Peak memory and time of calibration: ``python -m bench.calibration --out /var/tmp/tricast``.

The checkpoints are sparse, all zeros, so they take no disk and no time to read; what is multiplied
with takes as long as any weight. Peaks are of a whole process; a second row of the same shape with
more layers shows whether they grow with the model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.contest import ROOT
from bench.measure import Usage, measure
from bench.synthetic import SHAPES, ModelShape, build

CASES = (("1b", 11), ("1b", 22), ("13b", 2), ("13b", 4), ("70b", 1), ("70b", 2))
"""Shapes, and how many of their layers."""

SEQUENCE_TOKENS = 512

_SHAPES = {
    **SHAPES,
    "70b": ModelShape(hidden=8192, layers=80, ffn=28672, heads=64, kv_heads=8, vocab=128256),
}


def cost(shape: str, layers: int, tokens: int, folder: Path) -> Usage:
    """Calibrate the sparse checkpoint of a shape below ``folder``, made if need be."""
    checkpoint = folder / f"{shape}-{layers}-layers"
    if not checkpoint.is_dir():
        build(replace(_SHAPES[shape], layers=layers), checkpoint, sparse=True)
    command: list[str | Path] = [sys.executable, "-m", "bench.calibration"]
    return measure([*command, "--observe", checkpoint, "--tokens", str(tokens)], cwd=ROOT)


def observe_random_texts(checkpoint: Path, tokens: int) -> None:
    """What is measured: open a checkpoint, build its graph, observe it."""
    from convert.architectures import architecture_of
    from convert.checkpoint import open_checkpoint
    from passes.calibration.observations import observe

    opened = open_checkpoint(str(checkpoint))
    architecture = architecture_of(opened.config)
    config = architecture.parse(opened.config)
    ids = np.random.default_rng(0).integers(0, config.vocab, tokens)
    texts = [
        ids[start : start + SEQUENCE_TOKENS].tolist() for start in range(0, tokens, SEQUENCE_TOKENS)
    ]
    observe(architecture.build(config, opened.weights), texts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for every case; ratios are to the same shape with fewer layers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, help="folder for the checkpoints")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--shapes", nargs="+", choices=_SHAPES, default=["1b", "13b", "70b"])
    parser.add_argument("--observe", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.observe:
        observe_random_texts(options.observe, options.tokens)
        return
    if options.out is None:
        parser.error("--out is needed")
    print("| shape | layers | tokens | peak, MB | ratio | wall, s | cpu, s |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    peaks: dict[str, int] = {}
    for shape, layers in CASES:
        if shape in options.shapes:
            usage = cost(shape, layers, options.tokens, options.out)
            ratio = usage.peak / peaks.setdefault(shape, usage.peak)
            figures = f"{usage.peak / 1e6:.0f} | {ratio:.2f} | {usage.wall:.1f} | {usage.cpu:.1f}"
            print(f"| {shape} | {layers} | {options.tokens} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
