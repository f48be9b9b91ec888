"""Runs trials in processes forked from this one, each with a limit of time and of memory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.architectures.findings import TRIAL, Finding

Trial = Callable[[str, Path, Callable[[Finding], None]], object]
"""Tries out a type in an empty folder, and tells what it found whenever it found something."""

_KEPT, _WHOLE = "finding.json", "whole"

_EVERY = 0.1
"""Seconds between two looks at the children."""


@dataclass(frozen=True)
class Limits:
    """What a trial may take.

    Args:
        seconds: From start to end.
        nbytes: Of memory that is its own.
    """

    seconds: float = 120.0
    nbytes: int = 4 << 30


@dataclass(frozen=True)
class _Child:
    kind: str
    folder: Path
    started: float


def trials(
    kinds: Sequence[str],
    jobs: int,
    run: Trial,
    limits: Limits | None = None,
) -> Iterator[Finding]:
    """What is found about each type, in the order in which the trials end.

    Args:
        kinds: The types.
        jobs: Trials at a time.
        run: The trial of a type.
        limits: Of each.
    """
    waiting, allowed = list(kinds), limits or Limits()
    running: dict[int, _Child] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                kind = waiting.pop(0)
                folder = Path(tempfile.mkdtemp(prefix="tricast-trial-"))
                running[_forked(kind, folder, run)] = _Child(kind, folder, time.monotonic())
            for pid in list(running):
                finding = _ended(pid, running[pid], allowed)
                if finding is not None:
                    shutil.rmtree(running.pop(pid).folder, ignore_errors=True)
                    yield finding
            time.sleep(_EVERY)
    finally:
        for pid, child in running.items():
            _kill(pid)
            shutil.rmtree(child.folder, ignore_errors=True)


def _forked(kind: str, folder: Path, run: Trial) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        run(kind, folder, partial(_keep, folder))
        (folder / _WHOLE).touch()
        code = 0
    finally:
        os._exit(code)


def _keep(folder: Path, finding: Finding) -> None:
    made = folder / f"{_KEPT}.new"
    made.write_text(json.dumps(finding.as_json()))
    made.rename(folder / _KEPT)


def _ended(pid: int, child: _Child, limits: Limits) -> Finding | None:
    """What a child found, or why it found nothing; None while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    seconds = time.monotonic() - child.started
    if not ended:
        reason = _over(pid, seconds, limits)
        if reason is None:
            return None
        _kill(pid)
        return _lost(child, reason, seconds)
    if (child.folder / _WHOLE).is_file():
        return _found(child)
    code = os.waitstatus_to_exitcode(status)
    said = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    return _lost(child, f"the trial ended with {said}", seconds)


def _over(pid: int, seconds: float, limits: Limits) -> str | None:
    if seconds > limits.seconds:
        return f"the trial took more than {limits.seconds:.0f} s"
    if _own_bytes(pid) > limits.nbytes:
        return f"the trial took more than {limits.nbytes:,} bytes of memory"
    return None


def _own_bytes(pid: int) -> int:
    """Memory of a process that belongs to no file and, mostly, to nobody else."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in text.splitlines() if line.startswith("RssAnon:")]
    return int(found[0]) * 1024 if found else 0


def _kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (PermissionError, ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _found(child: _Child) -> Finding:
    kept = child.folder / _KEPT
    return (
        Finding.from_json(json.loads(kept.read_text())) if kept.is_file() else Finding(child.kind)
    )


def _lost(child: _Child, reason: str, seconds: float) -> Finding:
    """What a child found until it ended before its time."""
    finding = _found(child)
    finding.reasons[TRIAL] = reason
    finding.seconds = round(seconds, 1)
    return finding
