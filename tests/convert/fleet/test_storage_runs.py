"""Whole runs from object storage and back to it, by a cluster of several machines of pretence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.moto_server import CREDENTIALS, S3Server, serving
from tests.support.runs import ROOT

pytestmark = pytest.mark.slow

SMOLLM2 = ROOT / "models" / "smollm2"
TARGETS = ("gguf:q4_0", "openvino:int8")
BUCKET = "fleet"


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Iterator[S3Server]:
    """A server that holds the checkpoint; every process that is started now may use it."""
    import boto3

    folder = tmp_path_factory.mktemp("aws")
    with serving() as running, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SKIP_SIGNATURE"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        patch.setenv("AWS_ENDPOINT_URL", running.url)
        patch.setenv("RAY_worker_niceness", "0")
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        for path in SMOLLM2.iterdir():
            if path.is_file():
                client.upload_file(str(path), BUCKET, f"smollm2/{path.name}")
        yield running


@pytest.fixture(scope="module")
def cluster(storage) -> Iterator[str]:
    """The address of three machines, whose workers have the rights of this process."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for _ in range(2):
            made.add_node(num_cpus=1)
        made.wait_for_nodes()
        yield made.address
    finally:
        made.shutdown()


def run(checkpoint: str, out: str, *more: str, **environment: str) -> str:
    """Convert; what it said."""
    asked = [part for target in TARGETS for part in ("--to", target)]
    done = subprocess.run(
        [sys.executable, "-m", "convert", "run", checkpoint, *asked, "--out", out,
         "--no-gate", "--no-report", *more],
        cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def objects(prefix: str) -> dict[str, bytes]:
    import boto3

    client = boto3.client("s3")
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
    return {
        each["Key"].removeprefix(prefix): client.get_object(Bucket=BUCKET, Key=each["Key"])[
            "Body"
        ].read()
        for each in listed
    }


def files(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.parent != out and not path.parent.name.startswith(".")
    }


def test_a_fleet_from_storage_to_storage_makes_what_one_machine_makes(storage, cluster, tmp_path):
    run(str(SMOLLM2), str(tmp_path / "alone"))
    said = run(
        f"s3://{BUCKET}/smollm2", f"s3://{BUCKET}/made", "--on", "ray",
        "--staging", str(tmp_path / "staging"), RAY_ADDRESS=cluster,
    )  # fmt: skip
    assert "on 3 machines" in said
    alone = files(tmp_path / "alone")
    assert objects("made/") == alone
    assert sum(name.endswith("manifest.json") for name in alone) == len(TARGETS)
