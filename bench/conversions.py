"""Converts a synthetic checkpoint with Tricast, with ``cp``, and with the installed peers, in turn.

    python -m bench.conversions --rounds 3 --report out/bench/conversions.md

The checkpoint and all outputs lie on one file system, by default one in memory, so that a disk's
speed does not show. The kernels' cache is warm, and the hash of the checkpoint known but for the
lines that say otherwise. Peers: see `bench.peers`.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.contest import ROOT, Contestant, Result, hold, table
from bench.peers import PEERS, llama_cpp, optimum_intel
from bench.synthetic import DEMO, SHAPES, build

COPY = "cp"
NEW = "checkpoint not seen before"
"""It has to be hashed in the same run; otherwise its hash is known (`convert.known_hashes`)."""
OURS = "Tricast"
SINGLE = ("gguf:q4_0", "gguf:q8_0", "gguf:bf16", "openvino:int4", "openvino:int8", "gaudi:bf16")
PLAIN = ("gguf:q4_0", "openvino:int4")
"""Encodings whose scales a text weights by default, without it: what the text costs."""
TOGETHER = ("gguf:q4_0", "openvino:int8", "gaudi:bf16")

# Two cores, tmpfs, the shape 1b; the copy took 6.5 s there. Wall seconds and peak memory.
MEASURED_BEFORE = """
Peers that are not installed here were measured once on another machine (two cores, tmpfs, the same
checkpoint), where `cp` took 6.5 s:

| work | tool | wall, s | peak, GB | wall / cp |
|---|---|--:|--:|--:|
| gguf:bf16 | llama.cpp | 26 | 1.2 | 4.0 |
| gguf:q4_0 (by way of BF16) | llama.cpp | 31 | 1.2 | 4.8 |
| gguf:q8_0 | llama.cpp | 21 | 1.1 | 3.2 |
| openvino:int8 | optimum-intel | 50 | 4.0 | 7.7 |
| openvino:int4 | optimum-intel | 48 | 3.6 | 7.4 |
"""


def convert(checkpoint: Path, out: Path, targets: Sequence[str], *options: str) -> list[str | Path]:
    """The command that converts without gate."""
    words: list[str | Path] = [sys.executable, "-m", "convert", "run", checkpoint, "--no-gate"]
    return [*words, "--out", out, *options, *(word for to in targets for word in ("--to", to))]


def own(checkpoint: Path, out: Path) -> list[Contestant]:
    """The copy and Tricast's conversions."""
    cache = out.parent / "cache"
    hashes = cache / "tricast" / "hashes.json"
    copy = Contestant(COPY, COPY, (["cp", "-r", checkpoint, out],), (out,))
    everything = [*([target] for target in SINGLE), TOGETHER]
    return [
        copy,
        *(
            Contestant(" + ".join(to), OURS, (convert(checkpoint, out, to),), (out,))
            for to in everything
        ),
        *(
            Contestant(
                f"{to} --calibrate none",
                OURS,
                (convert(checkpoint, out, (to,), "--calibrate", "none"),),
                (out,),
            )
            for to in PLAIN
        ),
        *(
            Contestant(
                f"{to[0]}, {NEW}",
                OURS,
                (["rm", "-f", hashes], convert(checkpoint, out, to)),
                (out,),
                {"XDG_CACHE_HOME": str(cache)},
            )
            for to in everything[:2]
        ),
    ]


def start_up(out: Path) -> list[Contestant]:
    """What a run costs that converts next to nothing."""
    help_text: list[str | Path] = [sys.executable, "-m", "convert", "--help"]
    demo = convert(DEMO, out, [], "--recipe", "three-ways")
    return [
        Contestant("convert --help", OURS, (help_text,), ()),
        Contestant("demo model, three artifacts", OURS, (demo,), (out,)),
    ]


def rivals(checkpoint: Path, out: Path, peers: Path, threads: int) -> list[Contestant]:
    """What the installed peers make of the same checkpoint."""
    found: list[Contestant] = []
    llama = llama_cpp(peers)
    if llama.installed():
        whole, small = out.with_suffix(".bf16.gguf"), out.with_suffix(".q4_0.gguf")
        bf16 = llama.convert(checkpoint, whole, "bf16")
        q4_0 = llama.quantize(whole, small, "Q4_0", threads)
        name = "llama.cpp"
        found += [
            Contestant("gguf:bf16", name, (bf16,), (whole,)),
            Contestant("gguf:q4_0", name, (bf16, q4_0), (whole, small)),
            Contestant("gguf:q8_0", name, (llama.convert(checkpoint, whole, "q8_0"),), (whole,)),
        ]
    optimum = optimum_intel(peers)
    if optimum.installed():
        found += [
            Contestant(
                f"openvino:{kind}",
                "optimum-intel",
                (optimum.export(checkpoint, out, kind),),
                (out,),
                {"HF_HUB_OFFLINE": "1"},
            )
            for kind in ("int8", "int4")
        ]
    return found


def together_line(results: Sequence[Result]) -> str:
    """How one run with three targets compares with three runs."""
    walls = {result.work: result.usage for result in results if result.tool == OURS}
    name = " + ".join(TOGETHER)
    if not {name, *TOGETHER} <= walls.keys():
        return ""
    wall = walls[name].wall / sum(walls[target].wall for target in TOGETHER)
    cpu = walls[name].cpu / sum(walls[target].cpu for target in TOGETHER)
    return (
        f"\nThree targets in one run: {wall:.2f} of the wall time of three runs alone, "
        f"{cpu:.2f} of their processor time.\n"
    )


def heading(shape: str, rounds: int) -> str:
    """What was measured, and on what."""
    return (
        f"Shape {shape}, BF16; gate off; median of {rounds}; {os.cpu_count()} cores, "
        f"{_processor()}, Python {platform.python_version()}; load at the end "
        f"{os.getloadavg()[0]:.1f}. Peak: resident memory of all processes, mapped pages included."
        "\n\n"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> None:
    """Build what is missing, measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shape", choices=SHAPES, default="1b")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm/tricast-bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=PEERS)
    parser.add_argument("--report", type=Path, default=ROOT / "out" / "bench" / "conversions.md")
    parser.add_argument("--only", default="", help="contestants whose work has this in its name")
    options = parser.parse_args()
    checkpoint, out = options.folder / options.shape, options.folder / "converted"
    if not checkpoint.is_dir():
        build(SHAPES[options.shape], checkpoint)
    # Compiles the kernels and proves the tokenizer, if nothing has yet.
    for environment in ({}, {"XDG_CACHE_HOME": str(out.parent / "cache")}):
        Contestant("", "", (convert(checkpoint, out, SINGLE),), (out,), environment).run()
    peers = rivals(checkpoint, out, options.peers, os.cpu_count() or 1)
    everyone = [*own(checkpoint, out), *start_up(out), *peers]
    chosen = [one for one in everyone if one.work == COPY or options.only in one.work]
    results = hold(chosen, options.rounds)
    report = heading(options.shape, options.rounds) + table(results, COPY, OURS)
    report += together_line(results)
    if len({contestant.tool for contestant in peers}) < 2:
        report += MEASURED_BEFORE
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(report)
    print(report)
    sys.exit(len(results) < len(chosen))


if __name__ == "__main__":
    main()
