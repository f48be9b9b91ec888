"""Whole runs on a cluster of several machines of pretence, some of which are lost on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.runs import ROOT

pytestmark = pytest.mark.slow

SMOLLM2 = ROOT / "models" / "smollm2"
TARGETS = ("gguf:q4_0", "openvino:int8")
OPTIONS = ["--no-gate", "--no-report", "--memory", "8MB", "--threads", "2"]


def command(out: Path, *more: str) -> list[str]:
    asked = [part for target in TARGETS for part in ("--to", target)]
    run = [sys.executable, "-m", "convert", "run", str(SMOLLM2), "--out", str(out)]
    return [*run, *asked, *OPTIONS, *more]


def environment(cluster) -> dict[str, str]:
    return {**os.environ, "RAY_ADDRESS": cluster.address, "HF_HUB_OFFLINE": "1"}


def files(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.parent != out
    }


def journals(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob(".*.partial/journal"))


def wait_for(lines: int, out: Path, run: subprocess.Popen[str]) -> None:
    while journals(out) < lines:
        assert run.poll() is None, "the run ended before it was disturbed"
        time.sleep(0.01)


def tally(said: str) -> tuple[int, int]:
    """Chunks that workers did, and those that were there already."""
    found = re.search(r"fleet: (\d+) chunks done by .*, (\d+) were there already", said)
    assert found is not None, said
    return int(found[1]), int(found[2])


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("alone")
    subprocess.run(command(out), cwd=ROOT, check=True, capture_output=True)
    return files(out)


@pytest.fixture
def own_cluster() -> Iterator[object]:
    """A cluster whose machines may be lost."""
    from ray.cluster_utils import Cluster

    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("RAY_worker_niceness", "0")
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        yield cluster
    finally:
        cluster.shutdown()
        monkeypatch.undo()


def test_a_lost_machine_changes_nothing(own_cluster, tmp_path, expected):
    lost = own_cluster.add_node(num_cpus=1)
    own_cluster.add_node(num_cpus=1)
    own_cluster.wait_for_nodes()
    with subprocess.Popen(
        command(tmp_path, "--on", "ray"), cwd=ROOT, env=environment(own_cluster),
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    ) as run:  # fmt: skip
        wait_for(100, tmp_path, run)
        own_cluster.remove_node(lost, allow_graceful=False)
        said = run.communicate()[1]
    assert run.returncode == 0, said
    assert files(tmp_path) == expected
    assert tally(said)[1] == 0


def test_a_driver_that_is_killed_goes_on(own_cluster, tmp_path, expected):
    own_cluster.add_node(num_cpus=1)
    own_cluster.wait_for_nodes()
    run = subprocess.Popen(
        command(tmp_path, "--on", "ray"), cwd=ROOT, env=environment(own_cluster),
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(200, tmp_path, run)
    run.send_signal(signal.SIGKILL)
    run.wait()
    recorded = journals(tmp_path)
    again = subprocess.run(
        command(tmp_path, "--on", "ray"), cwd=ROOT, env=environment(own_cluster),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert files(tmp_path) == expected
    done, kept = tally(again.stderr)
    assert kept > 0
    assert 2 * kept <= recorded
    assert done > 0


def test_one_process_goes_on_where_a_fleet_was_killed(own_cluster, tmp_path, expected):
    run = subprocess.Popen(
        command(tmp_path, "--on", "ray"), cwd=ROOT, env=environment(own_cluster),
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(200, tmp_path, run)
    run.kill()
    run.wait()
    subprocess.run(command(tmp_path), cwd=ROOT, check=True, capture_output=True)
    assert files(tmp_path) == expected
    manifests = [json.loads(data) for name, data in expected.items() if "manifest" in name]
    assert len(manifests) == len(TARGETS)
