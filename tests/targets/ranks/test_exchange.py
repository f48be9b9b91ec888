"""Two processes sum and gather over gloo, parts of different lengths too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from targets.ranks.exchange import GlooExchange

ROOT = Path(__file__).resolve().parents[3]
assert GlooExchange

PROGRAM = """
import os, sys
from pathlib import Path
import numpy as np
from convert.errors import RunnerCrashedError
from targets.ranks.exchange import GlooExchange

rank = int(sys.argv[1])
exchange = GlooExchange(rank, 2, Path(sys.argv[2]))
values = np.full((2, 3), rank + 1, np.float32)
exchange.all_reduce(values)
assert (values == 3).all()
parts = exchange.all_gather(np.full((1 + rank, 2), rank, np.float32), [1, 2])
assert [part.tolist() for part in parts] == [[[0, 0]], [[1, 1], [1, 1]]]
if rank == 0:
    os._exit(0)  # it dies, without leaving the group
try:
    for _ in range(3):
        exchange.all_reduce(values)
except RunnerCrashedError as error:
    assert exchange.lost
    print(error.what, flush=True)
    os._exit(0)  # threads of gloo wait for the other rank still
"""


def test_two_processes(tmp_path):
    command = [sys.executable, "-c", PROGRAM]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "store")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    outputs = [rank.communicate(timeout=120) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], outputs
    assert outputs[1][0] == "another rank is gone\n"
