"""launch.sh is sound bash, and starts the ranks where there is no numactl."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from targets.openvino.parallel.launch import launch_script
from targets.openvino.parallel.rank import main
from targets.openvino.run import OpenVinoRunner

ROOT = Path(__file__).resolve().parents[4]


def test_syntax(tmp_path):
    script = tmp_path / "launch.sh"
    script.write_bytes(launch_script(4))
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "ranks=4\n" in script.read_text()


FAKES = {
    "python": 'echo "$OMP_NUM_THREADS $*" >&2',
    "numactl": 'echo "numactl $1 $2" >&2; shift 2; exec "$@"',
    "find": "for node in $(seq $NODES); do echo node$node; done",
    "lscpu": "for core in $(seq 64); do echo $core,0; echo $core,0; done",
}
"""Programs that stand for a machine with 64 cores of two threads each."""


@pytest.mark.parametrize(
    ("nodes", "rank", "bound"),
    [(4, 0, "0-0"), (4, 3, "3-3"), (8, 1, "2-3"), (2, 3, "1-1"), (2, 0, "0-0"), (0, 1, None)],
)
def test_a_rank_is_bound_to_its_share_of_the_nodes(tmp_path, nodes, rank, bound):
    for name, body in FAKES.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    script = tmp_path / "launch.sh"
    script.write_bytes(launch_script(4))
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHON": str(tmp_path / "python"),
        "NODES": str(nodes),
        "LOCAL_RANK": str(rank),
    }
    ended = subprocess.run(
        ["bash", str(script), "--prompt", "two words"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = ended.stderr.splitlines()
    bindings = [line for line in lines if line.startswith("numactl")]
    expected = [] if bound is None else [f"numactl --cpunodebind={bound} --membind={bound}"]
    assert bindings == expected
    program = f"16 -m targets.openvino.parallel.rank {tmp_path} --threads 16 --prompt two words"
    assert lines[-1] == program


def test_the_ranks_generate_together(pair):
    """The real thing: torchrun, two processes, no numactl in the way."""
    environment = {**os.environ, "PYTHON": sys.executable, "THREADS": "1"}
    environment["PYTHONPATH"] = str(ROOT)
    ids = [3, 1, 4, 1, 5]
    ended = subprocess.run(
        ["bash", str(pair.cut / "launch.sh"), "--profile", "--new-tokens", "6", "--ids"]
        + [str(token) for token in ids],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = OpenVinoRunner(pair.whole, threads=2).generate(ids, 6, frozenset())
    assert ended.stdout.split() == [str(token) for token in expected]
    assert "6 tokens, the first in" in ended.stderr
    shares = dict(re.findall(r"^(\w[\w ]+?) +[\d.]+ ms +([\d.]+)%$", ended.stderr, re.M))
    assert shares.keys() == {"linear", "localized filtering", "collectives", "rest"}
    assert float(shares["collectives"]) > 0
    assert float(shares["localized filtering"]) == 0


def test_a_rank_without_a_prompt_says_so(pair, tmp_path, capfd):
    """Alone in its group: one rank of one."""
    code = main([str(pair.cut), "--rank", "0", "--ranks", "1", "--store", str(tmp_path / "s")])
    assert code == 2
    assert "nothing to continue" in capfd.readouterr().err
