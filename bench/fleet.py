"""What Ray costs: the same conversion by threads of one process and by a cluster on one machine.

    python -m bench.fleet --folder /var/tmp/tricast-bench --rounds 3

Threads take turns with a cluster that each run starts itself, then with one that was started
before, on as many cores. What they make must be the same to the last byte. Ray's own processes
are not in the columns of processor time and memory, only in the wall time.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.contest import ROOT, Contestant, hold, table
from bench.conversions import convert, heading
from bench.synthetic import SHAPES, build

THREADS = "threads"
JOINED = "--on ray, running before"
STARTED = "--on ray, started by the run"
_STORE_BYTES = 2 << 30
"""`ray start` takes 30 % of the memory; a test cluster has so little that it spills to disk."""

TARGETS = ("gguf:q4_0", "openvino:int8")


@contextmanager
def cluster(cores: int) -> Iterator[None]:
    """A cluster of this machine, which runs find."""
    from ray.cluster_utils import Cluster

    os.environ.update({"RAY_worker_niceness": "0"})
    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": cores,
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
        },
    )
    try:
        yield
    finally:
        made.shutdown()


def contestants(checkpoint: Path, out: Path, cores: int, way: str) -> list[Contestant]:
    """Threads and another way, with and without a text."""
    return [
        Contestant(
            " ".join([*TARGETS, *more]),
            tool,
            (convert(checkpoint, out, TARGETS, *more, *on, *_always(cores)),),
            (out,),
        )
        for more in (("--calibrate", "none"), ())
        for tool, on in ((THREADS, ()), (way, ("--on", "ray")))
    ]


def _always(cores: int) -> Sequence[str]:
    return "--no-report", "--threads", str(cores)


def compared(ways: Sequence[Contestant], out: Path, rounds: int) -> str:
    """A table, after it is certain that all make the same."""
    require_same(ways, out)
    results = hold(ways, rounds)
    return table(results, results[0].work, THREADS)


def require_same(ways: Sequence[Contestant], out: Path) -> None:
    """Refuse to compare runs that make different bytes."""
    from convert.hashing import hash_files

    made: dict[str, object] = {}
    for way in ways:
        with way.done():
            files = [path for path in out.rglob("*") if path.is_file() and path.parent != out]
            records = hash_files(out, files)
        if made.setdefault(way.work, records) != records:
            raise SystemExit(f"{way.work}, {way.tool}: other bytes than by {THREADS}")


def main() -> None:
    """Build what is missing, measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shape", choices=SHAPES, default="1b")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/tricast-bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path, default=ROOT / "out" / "bench" / "fleet.md")
    options = parser.parse_args()
    checkpoint, out = options.folder / options.shape, options.folder / "converted"
    if not checkpoint.is_dir():
        build(SHAPES[options.shape], checkpoint)
        os.sync()

    def measured(way: str) -> str:
        return compared(contestants(checkpoint, out, options.cores, way), out, options.rounds)

    report = heading(options.shape, options.rounds) + measured(STARTED)
    with cluster(options.cores):
        report += "\n" + measured(JOINED)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(report)
    print(report)


if __name__ == "__main__":
    main()
