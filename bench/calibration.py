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
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from bench.contest import ROOT
from bench.measure import Usage, measure
from bench.synthetic import SHAPES, ModelShape, build

if TYPE_CHECKING:
    import onnx_ir as ir

CASES = (("1b", 11), ("1b", 22), ("13b", 2), ("13b", 4), ("70b", 1), ("70b", 2))
"""Shapes, and how many of their layers."""

SEQUENCE_TOKENS = 512

_SHAPES = {
    **SHAPES,
    "70b": ModelShape(hidden=8192, layers=80, ffn=28672, heads=64, kv_heads=8, vocab=128256),
}


def cost(shape: str, layers: int, tokens: int, folder: Path, method: str | None = None) -> Usage:
    """Calibrate the sparse checkpoint of a shape below ``folder``, made if need be."""
    checkpoint = folder / f"{shape}-{layers}-layers"
    if not checkpoint.is_dir():
        build(replace(_SHAPES[shape], layers=layers), checkpoint, sparse=True)
    command: list[str | Path] = [sys.executable, "-m", "bench.calibration"]
    options = ["--method", method] if method else []
    return measure([*command, "--observe", checkpoint, "--tokens", str(tokens), *options], cwd=ROOT)


def observe_random_texts(checkpoint: Path, tokens: int, method: str | None = None) -> None:
    """What is measured: open a checkpoint, build its graph, observe it or round it by a method."""
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
    graph = architecture.build(config, opened.weights)
    with TemporaryDirectory(dir=checkpoint) as scratch:
        if method is None:
            observe(graph, texts, scratch=Path(scratch))
        else:
            _round(graph, texts, Path(scratch))


def _round(graph: ir.Model, texts: Sequence[Sequence[int]], scratch: Path) -> None:
    from convert.calibrated import layers_of
    from convert.kept_codes import KeptCodes
    from passes.calibration.execution import BATCH_TOKENS, room_for
    from passes.calibration.rounding import Rounding
    from passes.encodings import encoding

    weights = layers_of(graph)
    names = [name for name in weights if name.startswith("model.layers.")]
    codes = KeptCodes(scratch / "codes", dict.fromkeys(names, encoding("int4_g64")), weights)
    stored = dict.fromkeys(names, encoding("int4_g64"))
    with room_for(texts, scratch) as spill:
        rounding = Rounding(
            *(graph, texts, stored, codes.keep, codes.find), batch_tokens=BATCH_TOKENS, spill=spill
        )
        rounding.run(lambda count: None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for every case; ratios are to the same shape with fewer layers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, help="folder for the checkpoints")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--shapes", nargs="+", choices=_SHAPES, default=["1b", "13b", "70b"])
    parser.add_argument("--method", choices=["gptq"], help="round to int4_g64 instead of observing")
    parser.add_argument("--layers", type=int, nargs="+", help="other numbers of layers")
    parser.add_argument("--observe", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.observe:
        observe_random_texts(options.observe, options.tokens, options.method)
        return
    if options.out is None:
        parser.error("--out is needed")
    print("| shape | layers | tokens | peak, MB | ratio | wall, s | cpu, s |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    peaks: dict[str, int] = {}
    given = [(shape, layers) for shape in _SHAPES for layers in options.layers or ()]
    for shape, layers in given or CASES:
        if shape in options.shapes:
            usage = cost(shape, layers, options.tokens, options.out, options.method)
            ratio = usage.peak / peaks.setdefault(shape, usage.peak)
            figures = f"{usage.peak / 1e6:.0f} | {ratio:.2f} | {usage.wall:.1f} | {usage.cpu:.1f}"
            print(f"| {shape} | {layers} | {options.tokens} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
