import hashlib

import pytest

from convert.errors import BrokenInputError, UnsafePathError, UnsupportedError
from convert.manifest import read_manifest
from convert.publishing.contents import Item, items_of, safe_path
from tests.support.finished import finished_artifact


def test_every_file_goes_but_an_older_card(artifact):
    (artifact / "README.md").write_text("an older card")
    (artifact / "report.html").write_text("figures")
    (artifact / ".git").mkdir()
    (artifact / ".git" / "config").write_text("[core]")
    items = items_of(artifact, read_manifest(artifact), trusted=True)
    assert [item.path for item in items] == [
        "bom.cdx.json", "manifest.json", "model.gguf", "provenance.intoto.json", "report.html",
        "sub/config.json",
    ]  # fmt: skip
    for item in items:
        data = item.source.read_bytes()
        assert (item.size, item.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_files_that_differ_go_by_what_they_are(artifact):
    (artifact / "model.gguf").write_bytes(b"changed")
    items = {item.path: item for item in items_of(artifact, read_manifest(artifact), trusted=False)}
    assert items["model.gguf"].sha256 == hashlib.sha256(b"changed").hexdigest()


def test_a_link_that_nobody_recorded_is_refused(artifact, tmp_path):
    (tmp_path / "private").write_text("not to be published")
    (artifact / "report.html").symlink_to(tmp_path / "private")
    with pytest.raises(BrokenInputError, match="is a link"):
        items_of(artifact, read_manifest(artifact), trusted=True)


def test_there_is_one_place_for_a_card(tmp_path):
    folder = tmp_path / "x"
    (folder / "sub").mkdir(parents=True)
    folder.joinpath("README.md").write_text("of the target")
    folder.joinpath("sub").rmdir()
    artifact = finished_artifact(folder / "y")
    recorded = read_manifest(artifact)
    mine = recorded.files[0].model_copy(update={"path": "README.md"})
    manifest = recorded.model_copy(update={"files": (*recorded.files, mine)})
    with pytest.raises(UnsupportedError, match="of its own"):
        items_of(artifact, manifest, trusted=True)


def test_bytes_as_an_item():
    item = Item.of_bytes("a", b"abc")
    assert (item.size, item.digest) == (3, f"sha256:{hashlib.sha256(b'abc').hexdigest()}")


@pytest.mark.parametrize("path", ["a", "a/b.c", "model-00001-of-00002.gguf", "a b/ü"])
def test_paths_inside(path):
    assert safe_path(path) == path


@pytest.mark.parametrize(
    "path", ["", "/a", "../a", "a/../b", "a//b", "a/", ".", "a\\b", "a\nb", "a\x00"]
)
def test_paths_that_are_none(path):
    with pytest.raises(UnsafePathError):
        safe_path(path)
