"""Converts a synthetic checkpoint on a disk, none of it in memory, beside ``cp`` of the same files.

    python -m bench.disk --folder /var/tmp/tricast-bench --rounds 3

That is what a user meets who has just downloaded a checkpoint that memory did not keep. Each round
starts with the checkpoint's pages dropped from the page cache, and ends when what was made is on
the disk. `bench.conversions` measures the same where no disk shows.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from bench.contest import ROOT, Command, Contestant, hold, table
from bench.conversions import COPY, OURS, PLAIN, convert, heading
from bench.synthetic import SHAPES, build


def contestants(checkpoint: Path, out: Path) -> list[Contestant]:
    """The copy, and conversions with and without a text."""
    options: Sequence[tuple[str, ...]] = ((), ("--calibrate", "none"))
    ours = [
        (" ".join([to, *more]), convert(checkpoint, out, (to,), *more))
        for to in (*PLAIN, "gguf:q4_k_m")
        for more in options
    ]
    stored: Command = ["find", out, "-type", "f", "-exec", "sync", "{}", "+"]
    copy: Command = ["cp", "-r", checkpoint, out]
    return [
        Contestant(COPY, COPY, (copy, stored), (out,), cold=(checkpoint,)),
        *(
            Contestant(work, OURS, (command, stored), (out,), cold=(checkpoint,))
            for work, command in ours
        ),
    ]


def main() -> None:
    """Build what is missing, measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shape", choices=SHAPES, default="1b")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/tricast-bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--report", type=Path, default=ROOT / "out" / "bench" / "disk.md")
    options = parser.parse_args()
    checkpoint, out = options.folder / options.shape, options.folder / "converted"
    if not checkpoint.is_dir():
        build(SHAPES[options.shape], checkpoint)
        os.sync()  # pages that are not on the disk yet cannot be dropped
    results = hold(contestants(checkpoint, out), options.rounds)
    report = heading(options.shape, options.rounds) + table(results, COPY, OURS)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(report)
    print(report)


if __name__ == "__main__":
    main()
