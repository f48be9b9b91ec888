"""Artifacts on their way to a bucket: what is seen there, and what a second run sends."""

from __future__ import annotations

import io
from contextlib import contextmanager

import pytest

from convert.artifact import PendingFolder
from convert.errors import GateError, OutputExistsError, UnavailableDestinationError
from convert.journal import Journal
from convert.outlets import s3 as s3_module
from convert.outlets.object_outlet import ObjectOutlet
from convert.outlets.s3 import S3Storage
from convert.outlets.stubs import is_stub, keep_manifest
from convert.outlets.uploads import Uploads
from convert.outlets.whole_objects import WholeObjects
from convert.progress import Reporter
from targets.base import Layout, OutputFile

NAME = "gguf-q4_0"
LARGE = bytes(range(256)) * 1100  # five parts of 64 KiB
FILES = {"model.bin": LARGE, "small.txt": b"small", "sub/rank.bin": LARGE[:-1]}
WHOLE = {f"made/{NAME}/{name}": data for name, data in FILES.items()}
PUBLISHED = {**WHOLE, f"made/{NAME}/manifest.json": b"{}"}


class Run:
    """What a run does with its outlet."""

    def __init__(self, storage, out, restart=False):
        self.outlet, self.out, self.restart = ObjectOutlet(storage), out, restart
        self.said = io.StringIO()

    @contextmanager
    def writing(self, files=FILES):
        """Up to the point where the gate has passed."""
        reporter = Reporter(self.said)
        with (
            self.outlet.opened(self.out, [NAME], reporter, self.restart),
            PendingFolder(self.out, NAME, restart=self.restart) as folder,
            Journal(folder.journal, folder.path) as journal,
        ):
            self.outlet.require_absent(folder.final)
            journal.record_sum("model.bin", 0, 1, 1)
            for name, data in files.items():
                path = folder.path / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(data)
            layout = tuple(OutputFile(name, len(data)) for name, data in files.items())
            self.outlet.follow(folder.path, Layout(layout, ()))
            (folder.path / "manifest.json").write_bytes(b"{}")
            yield folder

    def publish(self, files=FILES):
        with self.writing(files) as folder:
            return self.outlet.publish(folder)


@pytest.fixture
def storage(bucket, monkeypatch):
    monkeypatch.setattr(s3_module, "_ATTEMPTS", 2)
    return S3Storage(bucket.url)


def test_nothing_is_seen_before_it_is_published_and_then_everything(storage, bucket, s3, tmp_path):
    run = Run(storage, tmp_path)
    with run.writing() as folder:
        run.outlet._uploads[NAME]._wait()
        assert len(s3.parts()) == 10
        assert not bucket.objects()
        final = run.outlet.publish(folder)
    assert bucket.objects() == PUBLISHED
    changed = [line.split()[1] for line in s3.asked if line.startswith(("PUT", "POST"))]
    assert changed[-1] == f"/{bucket.name}/made/{NAME}/manifest.json?"
    assert is_stub(final)
    assert run.outlet.place(final) == f"{bucket.url}/{NAME}"
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_pages_go_along(storage, bucket, tmp_path):
    run = Run(storage, tmp_path)
    final = run.publish()
    (tmp_path / f"{NAME}.report.html").write_text("page")
    run.outlet.accompany(final)
    assert bucket.objects()[f"made/{NAME}.report.html"] == b"page"


def test_an_existing_artifact_is_refused_at_the_beginning_and_at_the_end(storage, bucket, tmp_path):
    run = Run(storage, tmp_path)
    there = f"{bucket.url}/{NAME} already exists"
    with pytest.raises(OutputExistsError, match=there), run.writing() as folder:
        bucket.put(f"made/{NAME}/other.bin", b"")
        run.outlet.publish(folder)
    with pytest.raises(OutputExistsError), Run(storage, tmp_path / "else").writing():
        pytest.fail("it began")
    assert list(bucket.objects()) == [f"made/{NAME}/other.bin"]


def test_a_failed_gate_leaves_nothing(storage, bucket, tmp_path):
    run = Run(storage, tmp_path)
    with pytest.raises(GateError), run.writing() as folder:
        run.outlet._uploads[NAME]._wait()
        assert len(bucket.uploads()) == 2
        run.outlet.drop(folder)
        raise GateError("no")
    assert not bucket.objects()
    assert not bucket.uploads()
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_gone_on_from_is_removed(storage, bucket, tmp_path):
    with pytest.raises(GateError), Run(storage, tmp_path).writing():
        raise GateError("of another artifact")
    assert not bucket.uploads()


def test_an_interrupted_run_sends_only_what_is_missing(storage, bucket, s3, tmp_path):
    first = Run(storage, tmp_path)
    with pytest.raises(KeyboardInterrupt), first.writing():
        first.outlet._uploads[NAME]._wait()
        raise KeyboardInterrupt
    assert "the storage keeps the parts" in first.said.getvalue()
    assert len(bucket.uploads()) == 2
    s3.asked.clear()
    changed = {**FILES, "model.bin": LARGE[:-1] + b"!"}
    second = Run(storage, tmp_path)
    second.publish(changed)
    assert [line.rpartition("=")[2] for line in s3.parts()] == ["5"]
    assert bucket.objects() == {**PUBLISHED, f"made/{NAME}/model.bin": changed["model.bin"]}
    assert "9 were there already" in second.said.getvalue()


def test_an_upload_that_the_storage_forgot_is_begun_anew(storage, bucket, s3, tmp_path):
    run = Run(storage, tmp_path)
    with pytest.raises(KeyboardInterrupt), run.writing():
        run.outlet._uploads[NAME]._wait()
        raise KeyboardInterrupt
    for name, upload in run.outlet._uploads[NAME].journal.uploads.items():
        storage.abort(name, upload.identifier)
    Run(storage, tmp_path).publish()
    assert bucket.objects() == PUBLISHED
    assert len(s3.parts()) == 20


def test_restart_removes_what_the_storage_has(storage, bucket, s3, tmp_path):
    with pytest.raises(KeyboardInterrupt), Run(storage, tmp_path).writing():
        raise KeyboardInterrupt
    s3.asked.clear()
    Run(storage, tmp_path, restart=True).publish()
    assert len(s3.parts()) == 10
    assert not bucket.uploads()
    assert bucket.objects() == PUBLISHED


@pytest.mark.parametrize("at", ["sub/rank.bin", "small.txt", "manifest.json"])
def test_publishing_that_breaks_off_is_gone_on_with(storage, bucket, s3, tmp_path, at):
    first = Run(storage, tmp_path)
    with pytest.raises(UnavailableDestinationError), first.writing() as folder:
        first.outlet._uploads[NAME]._wait()
        s3.answers = [(at, 500)] * 9
        first.outlet.publish(folder)
    assert f"made/{NAME}/manifest.json" not in bucket.objects()
    s3.answers.clear()
    s3.asked.clear()
    Run(storage, tmp_path).publish()
    assert not s3.parts()
    assert bucket.objects() == PUBLISHED


def test_publishing_that_was_killed_at_its_end_is_recognized(storage, bucket, tmp_path):
    first = Run(storage, tmp_path)
    with pytest.raises(KeyboardInterrupt), first.writing() as folder:
        first.outlet._uploads[NAME].publish(folder.path)
        raise KeyboardInterrupt
    second = Run(storage, tmp_path)
    with second.outlet.opened(tmp_path, [NAME], Reporter(second.said), False):
        assert is_stub(tmp_path / NAME)
    bucket.client.delete_object(Bucket=bucket.name, Key=f"made/{NAME}/manifest.json")
    third = Run(storage, tmp_path)
    with third.outlet.opened(tmp_path, [NAME], Reporter(third.said), False):
        assert not (tmp_path / NAME).exists()


def test_a_part_that_is_refused_ends_the_run(storage, s3, tmp_path):
    run = Run(storage, tmp_path)
    s3.answers = [("partNumber", 403)]
    with pytest.raises(UnavailableDestinationError, match="may not write"), run.writing():
        uploads = run.outlet._uploads[NAME]
        with pytest.raises(UnavailableDestinationError):
            uploads._wait()
        uploads.written("model.bin", 0, 0, None)


def test_bytes_are_followed_in_any_order(storage, s3, tmp_path):
    uploads = Uploads(storage, *_idle(tmp_path))
    layout = Layout((OutputFile("model.bin", len(LARGE)),), ())
    uploads._begin(tmp_path, "model.bin", layout.files[0].size)
    uploads.written("model.bin", 1 << 16, len(LARGE) - (1 << 16), None)
    assert [number for _, number in uploads._pool.asked] == [1, 2, 3, 4]
    uploads.written("unknown", 0, 5, None)


def _idle(tmp_path):
    from convert.outlets.part_journal import PartJournal

    class Pool:
        def __init__(self):
            self.asked = []

        def submit(self, task, upload, number):
            self.asked.append((upload, number))

    return PartJournal(tmp_path / "parts"), NAME, Pool()


def test_other_storage_takes_whole_objects(bucket, s3, tmp_path):
    pytest.importorskip("obstore")
    storage = WholeObjects(bucket.url)
    storage.require_access()
    assert storage.read("none") is None
    storage.remove("none")
    run = Run(storage, tmp_path)
    run.publish()
    assert bucket.objects() == PUBLISHED
    with pytest.raises(OutputExistsError):
        Run(storage, tmp_path / "else").publish()
    for name in FILES:
        storage.remove(f"{NAME}/{name}")
    assert storage.sizes(NAME) == {f"{NAME}/manifest.json": 2}
    with pytest.raises(UnavailableDestinationError, match="there is no"):
        WholeObjects("s3://nobodys/x").require_access()


def test_a_stub_has_a_manifest_and_nothing_else(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x").touch()
    (tmp_path / "manifest.json").touch()
    (tmp_path / "x").touch()
    assert not is_stub(tmp_path)
    keep_manifest(tmp_path)
    assert is_stub(tmp_path)
