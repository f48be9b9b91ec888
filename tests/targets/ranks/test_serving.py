"""A rank answers its parent's commands in frames, whatever is printed meanwhile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convert.errors import InterruptedRunError
from targets.ranks.frames import receive, send
from targets.ranks.serving import rank_parser, serve

ROOT = Path(__file__).resolve().parents[3]
assert serve


def test_one_rank_alone(tmp_path):
    arguments = ["artifact", "--rank", "0", "--ranks", "1", "--store", str(tmp_path / "store")]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.counting_rank", *arguments, "--greeting", "hello"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    say, hear = process.stdin.fileno(), process.stdout.fileno()
    assert receive(hear) == ({"ready": True, "context": 7, "bytes": 0}, b"")
    send(say, {"feed": [1, 2]})
    header, payload = receive(hear)
    assert (header["shape"], np.frombuffer(payload, np.float32).tolist()) == ([2, 1], [3, 3])
    send(say, {})
    assert receive(hear) == ({"bytes": 0}, b"")
    _, printed = process.communicate()
    assert process.returncode == InterruptedRunError.exit_code
    assert printed.startswith(b"hello")


def test_torchrun_says_which_rank_it_is(monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    options = rank_parser("program").parse_args(["folder"])
    assert (options.rank, options.ranks, options.artifact) == (2, 3, Path("folder"))
    monkeypatch.setenv("RANK", "two")
    with pytest.raises(SystemExit):
        rank_parser("program").parse_args(["folder"])
