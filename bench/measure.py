"""Runs a command and measures wall time, processor time and peak resident memory of its processes.

Memory is the larger of two figures: the largest sum of ``VmRSS`` over the process tree, polled 20
times a second, and the largest ``ru_maxrss`` of any one of its processes, which the kernel keeps
without gaps; of a program smaller than this one it shows this one, which started it. Both count
mapped file pages; neither counts the page cache.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_POLL_SECONDS = 0.05
_KIB = 1024


@dataclass(frozen=True)
class Usage:
    """What a command cost: seconds of wall, user and system time, and bytes of memory."""

    wall: float
    user: float
    system: float
    peak: int

    @property
    def cpu(self) -> float:
        """Seconds of all cores together."""
        return self.user + self.system


class CommandFailedError(Exception):
    """A measured command ended with another exit code than 0."""


def measure(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Usage:
    """Run ``command`` to its end.

    Args:
        environment: Set on top of the environment of this process.

    Raises:
        CommandFailedError: It failed; the message has the end of what it printed.
    """
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        with _PeakWatch(process.pid) as watch:
            _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            raise CommandFailedError(
                f"{command[0]} ended with {process.returncode}:\n"
                + output.read().decode(errors="replace")[-2000:]
            )
    peak = max(watch.peak, used.ru_maxrss * _KIB)
    return Usage(wall, used.ru_utime, used.ru_stime, peak)


def in_a_row(usages: Sequence[Usage]) -> Usage:
    """The cost of commands that are run one after the other."""
    return Usage(
        sum(usage.wall for usage in usages),
        sum(usage.user for usage in usages),
        sum(usage.system for usage in usages),
        max(usage.peak for usage in usages),
    )


def median(usages: Sequence[Usage]) -> Usage:
    """The median of each figure by itself."""
    return Usage(
        statistics.median(usage.wall for usage in usages),
        statistics.median(usage.user for usage in usages),
        statistics.median(usage.system for usage in usages),
        int(statistics.median(usage.peak for usage in usages)),
    )


def resident(pid: int) -> int:
    """Bytes of ``VmRSS``: anonymous, mapped-file and shared pages; 0 if the process has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * _KIB
    except OSError:
        pass
    return 0


def process_tree(root: int) -> list[int]:
    """``root`` and all processes below it, as far as they are still running."""
    found = [root]
    for pid in found:
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


class _PeakWatch:
    """Polls a process tree on a thread; `peak` is the largest sum seen."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _PeakWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            self.peak = max(self.peak, sum(map(resident, process_tree(self._pid))))
