"""Peak memory of conversions as models grow: ``python -m bench.memory --out /var/tmp/tricast``.

The checkpoints are sparse, all zeros, so they take no disk; the outputs do: 46 GB for the three
targets of the shape 13b at once. Each is removed before the next is made. The caches are warm: a
model of one layer with the same tokenizer goes first.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.contest import ROOT
from bench.conversions import TOGETHER, convert
from bench.measure import Usage, measure
from bench.synthetic import SHAPES, ModelShape, build


def cost(shape: str, folder: Path, targets: Sequence[str]) -> Usage:
    """Convert the sparse checkpoint of ``shape`` below ``folder``, made if need be."""
    one_layer = replace(SHAPES[shape], layers=1)
    _convert(one_layer, folder / f"{shape}-one-layer", targets)
    return _convert(SHAPES[shape], folder / f"{shape}-sparse", targets)


def _convert(shape: ModelShape, checkpoint: Path, targets: Sequence[str]) -> Usage:
    out = checkpoint.parent / "converted"
    if not checkpoint.is_dir():
        build(shape, checkpoint, sparse=True)
    shutil.rmtree(out, ignore_errors=True)
    try:
        return measure(convert(checkpoint, out, targets), cwd=ROOT)
    finally:
        shutil.rmtree(out, ignore_errors=True)


def main() -> None:
    """Print a row for every shape and set of targets; ratios are to the first shape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["1b", "13b"])
    parser.add_argument("--to", nargs="+", help="one set of targets, instead of the two usual ones")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    print("| targets | shape | peak, MB | ratio | wall, s | cpu, s |")
    print("|---|---|--:|--:|--:|--:|")
    for targets in [options.to] if options.to else [["gguf:q4_0"], TOGETHER]:
        first = 0
        for shape in options.shapes:
            usage = cost(shape, options.out, targets)
            first = first or usage.peak
            figures = f"{usage.peak / 1e6:.0f} | {usage.peak / first:.2f} | {usage.wall:.1f}"
            print(f"| {' + '.join(targets)} | {shape} | {figures} | {usage.cpu:.1f} |", flush=True)


if __name__ == "__main__":
    main()
