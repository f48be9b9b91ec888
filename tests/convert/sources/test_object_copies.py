"""Objects that are copied to a folder as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("obstore")
pytest.importorskip("moto")

from convert.errors import DiskFullError, UnavailableSourceError, UsageError
from convert.sources import object_copies
from convert.sources.object_copies import copy_object, copy_objects, file_here, folder_here
from tests.support.moto_server import CREDENTIALS, serving

FILES = {"manifest.json": b"{}", "model.bin": bytes(range(256)) * 3, "rank/0/model.bin": b"0"}


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


@pytest.fixture
def bucket(server, monkeypatch):
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(object_copies, "WINDOW_BYTES", 100)
    client = boto3.client("s3")
    client.create_bucket(Bucket="artifacts")
    for name, data in FILES.items():
        client.put_object(Bucket="artifacts", Key=f"made/{name}", Body=data)


def test_a_folder_and_those_below_it(bucket, tmp_path):
    folder = copy_objects("s3://artifacts/made/", tmp_path)
    assert folder == tmp_path / "made"
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    assert {name: path.read_bytes() for name, path in found.items() if path.is_file()} == FILES


def test_one_object(bucket, tmp_path):
    path = copy_object("s3://artifacts/made/model.bin", tmp_path / "new")
    assert path.read_bytes() == FILES["model.bin"]


def test_what_is_elsewhere_is_here_for_a_while(bucket, tmp_path):
    with folder_here(tmp_path) as folder, file_here(None) as none, file_here("x") as path:
        assert (folder, none, path) == (tmp_path, None, Path("x"))
    with folder_here("s3://artifacts/made") as folder:
        assert (folder / "rank/0/model.bin").read_bytes() == FILES["rank/0/model.bin"]
    with file_here("s3://artifacts/made/model.bin") as path:
        assert path.read_bytes() == FILES["model.bin"]
    assert not folder.exists()
    assert not path.exists()


def test_what_is_not_there(bucket, tmp_path):
    with pytest.raises(UnavailableSourceError, match=r"no s3://artifacts/made/other\.bin"):
        copy_object("s3://artifacts/made/other.bin", tmp_path)
    with pytest.raises(UnavailableSourceError, match="nothing in"):
        copy_objects("s3://artifacts/other", tmp_path)
    with pytest.raises(UnavailableSourceError):
        copy_objects("s3://nobodys/other", tmp_path)
    with pytest.raises(UsageError, match="names no file"):
        copy_object("s3://artifacts", tmp_path)


def test_no_room(bucket, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(DiskFullError, match=r"model\.bin"):
        copy_object("s3://artifacts/made/model.bin", tmp_path)
