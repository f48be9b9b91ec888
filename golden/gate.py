"""The gate as the pipeline calls it: the two programs as child processes.

A child gives all its memory back when it ends, and a runtime that aborts ends the child alone.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from convert.error_reports import error_from_json
from convert.errors import (
    BrokenInputError,
    GateError,
    OutOfMemoryError,
    RunnerCrashedError,
    TricastError,
)
from golden.details import Details
from golden.parts import Part
from golden.program import Report
from golden.result import GateResult
from golden.thresholds import Thresholds

RECORD, RECORD_STORED = "golden.record", "golden.record_stored"
COMPARE = "golden.compare"
ROOT = Path(__file__).resolve().parent.parent
SECONDS_TO_STOP = 5.0
TAIL_LINES = 15


def record_golden(
    folder: Path,
    out: Path,
    *,
    threads: int,
    prompts: Path | None = None,
    label: str | None = None,
    digest: str = "",
    tokenizer: bool = True,
    adapters: Sequence[Path] = (),
    layered: bool | None = None,
    part: Part | None = None,
) -> None:
    """Record the original in ``folder`` into the golden file ``out``; see `golden.record`.

    Raises:
        TricastError: What the recorder raised, of its own class.
        OutOfMemoryError: The system killed the recorder.
        BrokenInputError: The recorder died otherwise.
    """
    arguments = [str(folder.resolve()), "--out", str(out.resolve()), "--threads", str(threads)]
    arguments += ["--digest", digest]
    arguments += [] if prompts is None else ["--prompts", str(prompts.resolve())]
    arguments += [] if label is None else ["--label", label]
    arguments += [] if tokenizer else ["--no-tokenizer"]
    arguments += [] if layered is None else ["--layered" if layered else "--no-layered"]
    arguments += [] if part is None else ["--part", str(part)]
    for adapter in adapters:
        arguments += ["--lora", str(adapter.resolve())]
    run_program(RECORD, arguments, crash=BrokenInputError)


def run_gate(
    artifact: Path,
    target: str,
    golden: Path,
    thresholds: Thresholds,
    threads: int,
    *,
    digest: str = "",
    original: Path | None = None,
) -> GateResult:
    """Run an artifact in its runtime and compare it; see `golden.compare`.

    Args:
        original: The checkpoint. If given, and if it fits into memory, the artifact is also
            compared with the original run with the artifact's own stored weights, which shows
            mistakes that the loss of precision hides; see `golden.record_stored`.

    Returns:
        The verdict, passed or not: a figure outside its threshold raises nothing.

    Raises:
        TricastError: What the comparison raised, of its own class.
        OutOfMemoryError: The system killed the comparison.
        RunnerCrashedError: The runtime died; the message ends with its last words.
    """
    arguments = [str(artifact.resolve()), "--target", target, "--golden", str(golden.resolve())]
    arguments += ["--thresholds", json.dumps(thresholds.to_mapping()), "--threads", str(threads)]
    arguments += ["--digest", digest]
    with tempfile.TemporaryDirectory(prefix="tricast-") as scratch:
        if original is not None:
            stored = Path(scratch, "stored.safetensors")
            if _record_stored(original, stored, artifact, target, golden, threads):
                arguments += ["--stored", str(stored)]
        report = run_program(COMPARE, arguments, crash=RunnerCrashedError)
    result = GateResult.from_json(report["result"])
    return dataclasses.replace(result, details=Details.from_json(report["details"]))


def _record_stored(
    original: Path, out: Path, artifact: Path, target: str, golden: Path, threads: int
) -> bool:
    """Whether the original fitted into memory and was recorded."""
    arguments = [str(original.resolve()), "--artifact", str(artifact.resolve())]
    arguments += ["--target", target, "--like", str(golden.resolve())]
    arguments += ["--out", str(out), "--threads", str(threads)]
    try:
        run_program(RECORD_STORED, arguments, crash=GateError)
    except OutOfMemoryError:
        return False
    return True


def run_program(module: str, arguments: Sequence[str], *, crash: type[TricastError]) -> Report:
    """Run ``python -m module`` and give its report.

    An interruption stops the child before it goes on; the child also ends by itself if this
    process dies.

    Args:
        arguments: Command line; paths must be absolute.
        crash: Class of the error if the child ends without a report.
    """
    with tempfile.TemporaryDirectory(prefix="tricast-") as scratch:
        report, log = Path(scratch, "report.json"), Path(scratch, "log.txt")
        command = [sys.executable, "-m", module, *arguments, "--attached", "--json", str(report)]
        with (
            log.open("wb") as output,
            # `-m` puts the working directory first on the path: the packages' own, not the user's.
            subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=output, stderr=output
            ) as child,
        ):
            try:
                code = child.wait()
            except BaseException:
                _stop(child)
                raise
        try:
            found: Report = json.loads(report.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise _crashed(module, code, log, crash) from None
    if "error" in found:
        raise error_from_json(found["error"])
    return found


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _crashed(module: str, code: int, log: Path, crash: type[TricastError]) -> TricastError:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last_words = "\n    ".join(lines[-TAIL_LINES:]) or "nothing printed"
    ending = f"exit code {code}" if code >= 0 else f"signal {_signal_name(-code)}"
    if code == -signal.SIGKILL:
        return OutOfMemoryError(
            f"{module} was killed by the system",
            expected="enough free memory",
            found=ending,
            remedy="free some memory, give a recording with --golden FILE, or use --no-gate",
        )
    what = "the artifact's runtime" if crash is RunnerCrashedError else f"{module}"
    return crash(
        f"{what} died ({ending}); its last words:\n    {last_words}",
        remedy="rerun with --debug; a crash on a sound artifact is a bug worth reporting",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
