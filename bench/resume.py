"""Kills a conversion at random moments, resumes it, and compares the bytes with an undisturbed run.

    python -m bench.resume CHECKPOINT --to gguf:q4_0 --to openvino:int8 --kills 20

Resuming is running the same command again. Each try starts anew, is killed once with SIGKILL
(together with its child processes), and is run again to its end.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contest import ROOT
from bench.conversions import convert
from bench.measure import measure

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Try:
    """One kill: when, in seconds; how long the resumed run took; which files came out different.

    ``resumed`` is None where the run ended before it could be killed.
    """

    killed_after: float
    resumed: float | None
    different: tuple[str, ...]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below ``folder``, by path; what a run left behind counts too."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        found[path.relative_to(folder).as_posix()] = digest.hexdigest()
    return found


def kill_and_resume(
    command: Sequence[str | Path], out: Path, seconds: float, expected: dict[str, str]
) -> Try:
    """Run ``command``, kill it after ``seconds``, run it again, and compare what is in ``out``.

    Raises:
        CommandFailedError: The resumed run failed.
    """
    shutil.rmtree(out, ignore_errors=True)
    resumed = None if ended_by_itself(command, seconds) else measure(command, cwd=ROOT).wall
    got = digests(out)
    shutil.rmtree(out)
    names = sorted(expected.keys() | got.keys())
    different = tuple(name for name in names if expected.get(name) != got.get(name))
    return Try(seconds, resumed, different)


def ended_by_itself(command: Sequence[str | Path], seconds: float) -> bool:
    """Start ``command``, and kill it and its children after ``seconds`` unless it has ended."""
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False
    return True


def main() -> None:
    """Print a line for every kill; exit 1 if any bytes differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--to", action="append", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("/dev/shm/tricast-bench/resumed"))
    options = parser.parse_args()
    command = convert(options.checkpoint, options.out, options.to)
    shutil.rmtree(options.out, ignore_errors=True)
    started = time.perf_counter()
    measure(command, cwd=ROOT)
    undisturbed = time.perf_counter() - started
    expected = digests(options.out)
    print(f"undisturbed: {undisturbed:.1f} s, {len(expected)} files")
    print("| killed after, s | resumed in, s | sum / undisturbed | files that differ |")
    print("|--:|--:|--:|---|")
    chance, latest = random.Random(options.seed), undisturbed
    kills, failed = 0, False
    while kills < options.kills:
        one = kill_and_resume(command, options.out, chance.uniform(0, latest), expected)
        failed = failed or bool(one.different)
        if one.resumed is None:
            # The machine has become less busy.
            latest = one.killed_after
            continue
        kills += 1
        ratio = (one.killed_after + one.resumed) / undisturbed
        names = ", ".join(one.different) or "none"
        print(f"| {one.killed_after:.2f} | {one.resumed:.2f} | {ratio:.2f} | {names} |", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
