import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from convert.errors import (
    DiskFullError,
    MissingFileError,
    OutputBusyError,
    OutputExistsError,
    UnavailableSourceError,
    VerificationError,
)
from convert.publishing import pulling
from convert.publishing.sources import PublishedArtifact


@dataclass
class FolderSource(PublishedArtifact):
    """Gives the files of a folder, and breaks off before some of them."""

    folder: Path
    breaks_before: str | None = None
    given: list[str] = field(default_factory=list)

    def files(self):
        return {
            path.relative_to(self.folder).as_posix(): path.stat().st_size
            for path in self.folder.rglob("*")
            if path.is_file()
        }

    def fetch(self, path, folder, advance):
        if path == self.breaks_before:
            raise UnavailableSourceError("gone")
        self.given.append(path)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.folder / path, folder / path)
        advance((folder / path).stat().st_size)


@pytest.fixture
def fetch(artifact, reporter, tmp_path):
    out = tmp_path / "back"

    def fetch(**options):
        source = FolderSource(artifact, **options)
        pulling.pull(source, "the place", out, reporter)
        return source, out

    return fetch


def test_an_artifact_comes_whole(artifact, fetch):
    source, out = fetch()
    assert sorted(source.given) == sorted(source.files())
    assert (out / "model.gguf").read_bytes() == (artifact / "model.gguf").read_bytes()
    assert not out.with_name(".back.partial").exists()


def test_a_second_call_goes_on(artifact, fetch):
    with pytest.raises(UnavailableSourceError):
        fetch(breaks_before="sub/config.json")
    source, _ = fetch()
    assert "model.gguf" not in source.given
    assert "sub/config.json" in source.given


def test_what_an_earlier_artifact_left_is_discarded(fetch, tmp_path):
    work = tmp_path / ".back.partial"
    work.mkdir()
    (work / "old.gguf").write_bytes(b"old")
    (work / "model.gguf").write_bytes(b"old")
    _, out = fetch()
    assert not (out / "old.gguf").exists()
    assert (out / "model.gguf").read_bytes() == b"weights" * 100


def test_other_files_of_a_repository_stay_there(artifact, fetch):
    (artifact / "not-ours.bin").write_bytes(b"x")
    source, out = fetch()
    assert "not-ours.bin" not in source.given
    assert not (out / "not-ours.bin").exists()


def test_a_missing_file_is_said_before_anything_comes(artifact, fetch):
    (artifact / "model.gguf").unlink()
    with pytest.raises(VerificationError, match="the place is not what"):
        fetch()


def test_a_changed_file_gets_no_name(artifact, fetch, tmp_path):
    (artifact / "model.gguf").write_bytes(b"changed")
    with pytest.raises(VerificationError, match="what came from the place"):
        fetch()
    assert not (tmp_path / "back").exists()


def test_something_else_than_an_artifact(artifact, fetch):
    (artifact / "manifest.json").unlink()
    with pytest.raises(MissingFileError, match="no artifact"):
        fetch()


def test_nothing_is_overwritten(fetch, tmp_path):
    (tmp_path / "back").mkdir()
    with pytest.raises(OutputExistsError):
        fetch()


def test_two_calls_at_once(fetch, tmp_path):
    work = tmp_path / ".back.partial"
    work.mkdir()
    with pulling._only_us(work, tmp_path / "back"), pytest.raises(OutputBusyError):
        fetch()


def test_a_full_disk_is_said_first(fetch, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=10)
    monkeypatch.setattr(pulling.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskFullError, match="no room"):
        fetch()
