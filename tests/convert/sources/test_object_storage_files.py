"""A checkpoint in object storage, served by moto over HTTP, is what it is in a folder."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest

pytest.importorskip("obstore")
pytest.importorskip("moto")

from convert.checkpoint import open_checkpoint
from convert.errors import (
    ChangedInputError,
    DiskFullError,
    InterruptedRunError,
    TruncatedFileError,
    UnavailableSourceError,
    UsageError,
)
from convert.inputs import Inputs, describe_source
from convert.sources import object_storage
from convert.sources.object_storage_files import ObjectFiles, RangedWeight
from tests.support.runs import TINY_LLAMA, convert_tiny

FOLDER = "s3://models/family/tiny-llama"


@pytest.fixture(scope="module")
def server():
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch, tmp_path):
    """Puts an object; tiny-llama is there."""
    import boto3

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SKIP_SIGNATURE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setattr(object_storage, "_LISTING_SECONDS", 0.0)
    client = boto3.client("s3")
    client.create_bucket(Bucket="models")

    def put(name, data, folder="family/tiny-llama"):
        client.put_object(Bucket="models", Key=f"{folder}/{name}", Body=data)

    for path in TINY_LLAMA.iterdir():
        if path.is_file():
            put(path.name, path.read_bytes())
    return put


def test_weights_label_and_hashes_are_those_of_the_folder(bucket, tmp_path):
    local, remote = open_checkpoint(str(TINY_LLAMA)), open_checkpoint(FOLDER, scratch=tmp_path)
    assert remote.label == local.label
    assert remote.config == local.config
    assert list(remote.weights) == list(local.weights)
    for name, weight in remote.weights.items():
        assert isinstance(weight, RangedWeight)
        there, here = weight.read_rows(0, weight.rows), local.weights[name]
        assert np.array_equal(there.view(np.uint8), here.read_rows(0, here.rows).view(np.uint8))
    assert describe_source(remote) == describe_source(local)
    assert not (remote.folder / "model.safetensors").exists()


@pytest.mark.slow
def test_artifacts_are_those_of_the_folder_and_nothing_is_left(bucket, tmp_path):
    options = {"calibrate": "none", "gate": False}
    (local,) = convert_tiny(tmp_path / "local", "gguf:q8_0", **options)
    (remote,) = convert_tiny(tmp_path / "remote", "gguf:q8_0", model=FOLDER, **options)
    names = {path.name for path in local.iterdir()}
    assert {path.name for path in remote.iterdir()} == names
    for name in names:
        assert (remote / name).read_bytes() == (local / name).read_bytes(), name
    assert [path.name for path in (tmp_path / "remote").iterdir()] == ["gguf-q8_0"]


def test_a_file_of_many_windows_is_hashed_in_their_order(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr("convert.sources.object_storage_files.WINDOW_BYTES", 30_000)
    remote = open_checkpoint(FOLDER, scratch=tmp_path)
    assert describe_source(remote) == describe_source(open_checkpoint(str(TINY_LLAMA)))


def test_a_program_that_reads_the_folder_finds_whole_files(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr("convert.sources.object_storage_files.WINDOW_BYTES", 100_000)
    remote = open_checkpoint(FOLDER, scratch=tmp_path)
    remote.bring_here()
    for path in remote.files:
        assert path.read_bytes() == (TINY_LLAMA / path.name).read_bytes()
    assert not list(remote.folder.glob(".*"))


def test_no_room_for_a_copy(bucket, tmp_path, monkeypatch):
    remote = open_checkpoint(FOLDER, scratch=tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DiskFullError, match=r"s3://models/family/tiny-llama/model\.safetensors"):
        remote.bring_here()


def test_an_object_that_is_replaced_during_the_run_is_noticed(bucket, tmp_path, monkeypatch):
    remote = open_checkpoint(FOLDER, scratch=tmp_path)
    inputs = Inputs(remote)
    inputs.record()
    inputs.require_unchanged()
    whole = (TINY_LLAMA / "model.safetensors").read_bytes()
    bucket("model.safetensors", whole[:-1] + b"\0")
    with pytest.raises(ChangedInputError):
        inputs.require_unchanged()
    weight = list(remote.weights.values())[-1]
    with pytest.raises(ChangedInputError, match=r"model\.safetensors"):
        weight.read_rows(0, weight.rows)


def test_a_file_that_is_shorter_than_its_header_says(bucket, tmp_path):
    bucket("model.safetensors", (TINY_LLAMA / "model.safetensors").read_bytes()[:-1000])
    with pytest.raises(TruncatedFileError):
        open_checkpoint(FOLDER, scratch=tmp_path)


def test_pytorch_files_are_copied(bucket, tmp_path):
    bucket("pytorch_model.bin", b"no archive", folder="family/old")
    bucket("config.json", (TINY_LLAMA / "config.json").read_bytes(), folder="family/old")
    files = ObjectFiles("s3://models/family/old", tmp_path)
    assert not files.coming
    files.bring_pickles()
    assert (files.folder / "pytorch_model.bin").read_bytes() == b"no archive"


def test_what_waits_ends_when_a_run_is_given_up(bucket, tmp_path):
    remote = open_checkpoint(FOLDER, scratch=tmp_path)
    remote.close()
    with pytest.raises(InterruptedRunError):
        next(iter(remote.weights.values())).read_rows(0, 1)


def test_an_empty_folder_and_a_revision(bucket, tmp_path):
    with pytest.raises(UnavailableSourceError, match="nothing in s3://models/family/none"):
        open_checkpoint("s3://models/family/none", scratch=tmp_path)
    with pytest.raises(UsageError, match="no revision"):
        open_checkpoint(FOLDER, revision="main", scratch=tmp_path)


def test_weights_in_another_process_are_read_there_and_held_to_the_same_etags(
    bucket, tmp_path, monkeypatch
):
    remote = open_checkpoint(FOLDER, scratch=tmp_path / "here")
    sent = pickle.dumps(dict(remote.weights))
    assert len(sent) < 100_000 and b"AKIAEXAMPLE" not in sent and b"secret" not in sent
    with monkeypatch.context() as patch:
        patch.setattr(object_storage, "open_store", None)
        there = pickle.loads(sent)  # opens nothing yet
    for name in list(remote.weights)[::20]:
        weight, other = remote.weights[name], there[name]
        assert np.array_equal(
            other.read_rows(0, other.rows).view(np.uint8),
            weight.read_rows(0, weight.rows).view(np.uint8),
        )
    assert len({id(weight.files) for weight in there.values()}) == 1
    whole = (TINY_LLAMA / "model.safetensors").read_bytes()
    bucket("model.safetensors", whole[:-1] + b"\0")
    late = pickle.loads(sent)[name]
    with pytest.raises(ChangedInputError, match=r"model\.safetensors"):
        late.read_rows(0, late.rows)
