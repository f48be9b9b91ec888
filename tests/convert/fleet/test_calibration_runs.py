"""What calibration finds, by real clusters of different sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.checkpoint import open_checkpoint
from convert.fleet.address import Address
from convert.fleet.ray_workers import RayWorkers
from convert.observing import find_or_observe
from convert.preparation import open_source
from convert.progress import Reporter
from convert.workers import THIS_PROCESS, Workers
from tests.support.runs import ROOT

pytestmark = pytest.mark.slow

MODEL = ROOT / "golden" / "models" / "tiny-llama"
TOKENS = 9000


def observed(out: Path, workers: Workers) -> dict[str, bytes]:
    """The files that calibration leaves."""
    out.mkdir()
    checkpoint = open_checkpoint(str(MODEL))
    find_or_observe(
        checkpoint, open_source(checkpoint).config, "digest", out, text=ROOT / "CHANGELOG.md",
        reporter=Reporter(), most_tokens=TOKENS, workers=workers,
    )  # fmt: skip
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def test_statistics_are_the_same_bits_for_any_number_of_workers(tmp_path):
    from ray.cluster_utils import Cluster

    alone = observed(tmp_path / "alone", THIS_PROCESS)
    assert alone
    for count in (1, 2, 4):
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
        )
        try:
            for _ in range(count - 1):
                cluster.add_node(num_cpus=1)
            cluster.wait_for_nodes()
            with RayWorkers(Address(cluster.address), 1, Reporter()) as workers:
                assert workers.count == count
                assert observed(tmp_path / str(count), workers) == alone
        finally:
            cluster.shutdown()
