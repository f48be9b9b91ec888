"""Predicted against measured: what plans say of conversions, beside the conversions themselves.

    python -m bench.planned --rounds 3 --report out/bench/planned.md

SmolLM2 to GGUF, and a synthetic model of 1.17 billion weights to OpenVINO and to Gaudi, gate off.
Bytes must be equal; memory within 15 %; time within a factor of 1.5. Other programs make a run wait
but cost it hardly any processor time, so that time is compared in two ways: by the clock, and as
processor time by cores, which is what the clock would show on a machine that is idle otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contest import ROOT, Contestant
from bench.conversions import convert, heading
from bench.fetch_models import fetch_smollm2
from bench.measure import Usage, median
from bench.synthetic import SHAPES, build
from convert import api
from convert.manifest import BOM_NAME, MANIFEST_NAME, STATEMENT_NAME
from convert.planning import Plan

MEMORY_TOLERANCE, TIME_FACTOR = 0.15, 1.5


@dataclass(frozen=True)
class Conversion:
    """A checkpoint and what to make of it."""

    name: str
    checkpoint: Path
    to: str


@dataclass(frozen=True)
class Held:
    """A plan held to a run.

    Args:
        plan: With the sizes of files.
        usage: Of the run.
        written: Bytes of each file that the run wrote, by path; the manifest and what is derived
            from it left out.
    """

    conversion: Conversion
    plan: Plan
    usage: Usage
    written: dict[str, int]

    @property
    def idle_seconds(self) -> float:
        """Processor time by cores."""
        return self.usage.cpu / (os.cpu_count() or 1)

    @property
    def faults(self) -> tuple[str, ...]:
        """Where the plan is further off than it may be."""
        cost, found = self.plan.conversion, []
        planned = {file.path: file.nbytes for file in self.plan.artifacts[0].files or ()}
        if planned != self.written:
            found.append("bytes")
        if abs(cost.memory / self.usage.peak - 1) > MEMORY_TOLERANCE:
            found.append("memory")
        # A run that nobody disturbs lies between the two: not all of it uses all cores.
        low, high = sorted((self.idle_seconds, self.usage.wall))
        if not low / TIME_FACTOR <= cost.seconds <= high * TIME_FACTOR:
            found.append("time")
        return tuple(found)

    def row(self) -> str:
        """A line of the table."""
        cost = self.plan.conversion
        total = sum(self.written.values())
        planned = sum(file.nbytes for file in self.plan.artifacts[0].files or ())
        return (
            f"| {self.conversion.name} | {planned:,} | {total:,} "
            f"| {cost.memory / 1e6:.0f} | {self.usage.peak / 1e6:.0f} "
            f"| {cost.memory / self.usage.peak:.2f} | {cost.seconds:.1f} "
            f"| {self.usage.wall:.1f} | {self.idle_seconds:.1f} "
            f"| {cost.seconds / self.usage.wall:.2f} | {', '.join(self.faults) or 'holds'} |"
        )


def hold(conversion: Conversion, out: Path, rounds: int) -> Held:
    """Plan a conversion, then run it; the median of several runs counts."""
    plan = api.plan(conversion.checkpoint, to=conversion.to, files=True, out=out)
    command = convert(conversion.checkpoint, out, [conversion.to], "--no-report")
    usages = [
        Contestant(conversion.name, "Tricast", (command,), (out,)).run() for _ in range(rounds)
    ]
    Contestant(conversion.name, "Tricast", (command,), ()).run()
    [folder] = (path for path in out.iterdir() if path.is_dir() and not path.name.startswith("."))
    return Held(conversion, plan, median(usages), dict(_written(folder, plan)))


def _written(folder: Path, plan: Plan) -> Iterator[tuple[str, int]]:
    """Files of an artifact, but those about it, which a run adds."""
    planned = {file.path for file in plan.artifacts[0].files or ()}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and (name in planned or name not in _ABOUT):
            yield name, path.stat().st_size


_ABOUT = (MANIFEST_NAME, STATEMENT_NAME, BOM_NAME)


def report(held: Sequence[Held]) -> str:
    """The table."""
    lines = [
        "| conversion | bytes planned | written | MB planned | peak | ratio | s planned | clock "
        "| processor / cores | planned / clock | |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
        *(one.row() for one in held),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Plan, run, compare, and fail where a plan is too far off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm/tricast-bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--report", type=Path, default=ROOT / "out" / "bench" / "planned.md")
    options = parser.parse_args()
    synthetic = options.folder / "1b"
    if not synthetic.is_dir():
        build(SHAPES["1b"], synthetic)
    conversions = (
        Conversion("SmolLM2 to gguf:q4_0", fetch_smollm2(), "gguf:q4_0"),
        Conversion("1.17 B to openvino:int4", synthetic, "openvino:int4"),
        Conversion("1.17 B to gaudi:bf16", synthetic, "gaudi:bf16"),
    )
    out = options.folder / "planned"
    # Compiles the kernels and keeps the tokenizers, if nothing has yet.
    for one in conversions:
        Contestant("", "", (convert(one.checkpoint, out, [one.to]),), (out,)).run()
    held = [hold(one, out, options.rounds) for one in conversions]
    text = heading("1b and SmolLM2", options.rounds) + report(held)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(text)
    print(text)
    sys.exit(any(one.faults for one in held))


if __name__ == "__main__":
    main()
