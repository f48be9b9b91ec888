"""A run that was killed at any moment goes on, and ends in the bytes of an undisturbed run."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from convert import stream
from convert.journal import Journal
from convert.stream import write_layouts
from convert.weights import FileWeight, FloatType
from passes.encodings import encoding
from targets.base import Layout, OutputFile, Placement, WriteJob
from tests.support.runs import ROOT, TINY_LLAMA

ROWS, COLUMNS, CHUNK = 512, 64, 8 * 64 * 4

SLOWED_RUN = """
import sys, time
from pathlib import Path
from convert import stream
from tests.convert.test_resume_killed import write
write_all = stream.write_all
stream.write_all = lambda *given: (time.sleep(0.002), write_all(*given))
write(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def write(source: Path, work: Path) -> None:
    """Stream one weight in 64 chunks into two encodings, with a journal."""
    weight = FileWeight("w", (ROWS, COLUMNS), FloatType.F32, source, 0)
    jobs, offset = [], 5
    for kind in map(encoding, ("q8_0", "int8")):
        placements = []
        for plane in kind.planes(COLUMNS):
            placements.append(Placement("data", offset))
            offset += plane.nbytes(ROWS)
        jobs.append(WriteJob(weight, kind, tuple(placements)))
    layout = Layout((OutputFile("data", offset, ((0, b"head"),)),), tuple(jobs))
    (work / "artifact").mkdir(parents=True, exist_ok=True)
    with Journal(work / "journal", work / "artifact") as journal:
        if journal.is_empty:
            journal.begin({"model": "m"})
        journals = {work / "artifact": journal}
        write_layouts([(work / "artifact", layout)], chunk_bytes=CHUNK, journals=journals)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("entries", [1, 20, 120])
def test_a_killed_stream_goes_on_with_what_is_missing(tmp_path, monkeypatch, entries):
    source = tmp_path / "source"
    rng = np.random.default_rng(0)
    source.write_bytes(rng.normal(size=(ROWS, COLUMNS)).astype(np.float32).tobytes())
    write(source, tmp_path / "undisturbed")
    expected = (tmp_path / "undisturbed" / "artifact" / "data").read_bytes()

    command = [sys.executable, "-c", SLOWED_RUN, str(source), str(tmp_path / "killed")]
    with subprocess.Popen(command, cwd=ROOT) as run:
        while lines(tmp_path / "killed" / "journal") <= entries and run.poll() is None:
            time.sleep(0.001)
        run.kill()
    assert run.returncode == -signal.SIGKILL

    written, write_all = [], stream.write_all
    monkeypatch.setattr(
        stream, "write_all", lambda *given: (written.append(given), write_all(*given))
    )
    recorded = lines(tmp_path / "killed" / "journal") - 1
    assert recorded >= entries
    write(source, tmp_path / "killed")
    assert (tmp_path / "killed" / "artifact" / "data").read_bytes() == expected
    all_planes = 3 * ROWS * COLUMNS * 4 // CHUNK
    # Two threads may each have been killed between the two planes of a job.
    assert all_planes - recorded <= len(written) <= all_planes - recorded + 2


def run_command(out: Path) -> list[str]:
    program = [sys.executable, "-m", "convert", "run", str(TINY_LLAMA), "--out", str(out)]
    to = ["--to", "gguf:q4_0", "--to", "onnx:int8"]
    return [*program, *to, "--no-gate", "--no-report", "--memory", "1MB"]  # reports hold times


@pytest.mark.slow
def test_a_run_killed_at_twenty_random_moments_ends_in_the_same_bytes(tmp_path):
    undisturbed = tmp_path / "undisturbed"
    started = time.monotonic()
    subprocess.run(run_command(undisturbed), cwd=ROOT, check=True)
    seconds = time.monotonic() - started
    expected = {
        path.relative_to(undisturbed): path.read_bytes()
        for path in undisturbed.rglob("*")
        if path.is_file()
    }
    moments = random.Random(3)
    for number in range(20):
        out = tmp_path / f"killed-{number}"
        with subprocess.Popen(run_command(out), cwd=ROOT) as run:
            time.sleep(moments.uniform(0, seconds))
            run.kill()
        finished = out.is_dir() and {"gguf-q4_0", "onnx-int8"} <= {p.name for p in out.iterdir()}
        if not finished:
            subprocess.run(run_command(out), cwd=ROOT, check=True)
        found = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
        assert found - {path for path in found if ".partial" in path.parts[0]} == set(expected)
        assert all((out / path).read_bytes() == data for path, data in expected.items())
