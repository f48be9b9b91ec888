import io
import json

import pytest

from convert.__main__ import main
from convert.errors import GateError, UsageError
from convert.manifest import GateRecord
from convert.progress import Reporter
from convert.publishing import shown
from convert.publishing.commands import publish, pull
from tests.support.finished import finished_artifact, source_record


def test_a_dry_run_shows_everything_and_asks_nobody(artifact, reporter, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", None)
    planned = publish(artifact, "oci://registry.example/a:b", dry_run=True, reporter=reporter)
    text = "\n".join(shown.lines(planned, public=False))
    assert planned.url is None
    assert "would publish to oci://registry.example/a:b (seen by whom the registry lets" in text
    assert f"{planned.nbytes:,} bytes in 6 files" in text
    assert "  700  model.gguf" in text
    assert planned.card in text
    assert not (artifact / "README.md").exists()


def test_a_dry_run_says_what_would_be_refused(tmp_path, reporter):
    artifact = finished_artifact(tmp_path / "x", gate=GateRecord(status="unverified"))
    with pytest.raises(GateError):
        publish(artifact, "org/x", dry_run=True, reporter=reporter)


def test_a_forced_publication_warns_and_its_card_says_so(tmp_path, reporter, registry, patience):
    artifact = finished_artifact(tmp_path / "x", gate=GateRecord(status="unverified"))
    said = io.StringIO()
    publish(artifact, f"{registry.place}:x", force=True, reporter=Reporter(said), patience=patience)
    assert "warning: published by force: its gate was skipped" in said.getvalue()
    manifest = json.loads(registry.manifests["x"])
    card = next(
        registry.blobs[layer["digest"]].decode()
        for layer in manifest["layers"]
        if layer["annotations"]["org.cncf.model.filepath"] == "README.md"
    )
    assert "> - its gate was skipped" in card
    again = io.StringIO()
    pull(f"{registry.place}:x", tmp_path / "back", reporter=Reporter(again))
    assert "warning: do not rely on it: its gate was skipped" in again.getvalue()


def test_licence_base_model_and_languages(artifact, tmp_path, reporter):
    planned = publish(
        artifact, "org/x", dry_run=True, reporter=reporter,
        licence="mit", base_model="org/original", languages=("en", "de"),
    )  # fmt: skip
    assert "license: mit\nlanguage:\n- en\n- de\nbase_model: org/original" in planned.card
    assert planned.warnings == ()
    silent = finished_artifact(tmp_path / "y", source=source_record(label="org/name@" + "a" * 40))
    planned = publish(silent, "org/x", dry_run=True, reporter=reporter)
    assert "base_model: org/name\n" in planned.card
    assert "licence of the original is not known" in planned.warnings[0]


@pytest.mark.parametrize(
    "options", [{"base_model": "nonsense"}, {"base_model": "a/b/c"}, {"languages": ("English",)}]
)
def test_options_that_cannot_be_read(artifact, reporter, options):
    with pytest.raises(UsageError, match="cannot read --"):
        publish(artifact, "org/x", dry_run=True, reporter=reporter, **options)


def test_a_revision_is_no_destination(artifact, reporter):
    for repo in ("org/x@main", "oci://h.example/x@sha256:" + "0" * 64):
        with pytest.raises(UsageError, match="already there"):
            publish(artifact, repo, dry_run=True, reporter=reporter)


def test_the_program_publishes_and_pulls(artifact, registry, tmp_path, capsys):
    assert main(["publish", str(artifact), f"{registry.place}:x"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(f"{registry.place}@sha256:")
    assert main(["pull", f"{registry.place}:x", str(tmp_path / "back")]) == 0
    assert "as its manifest says" in capsys.readouterr().out
    (artifact / "model.gguf").write_bytes(b"x")
    assert main(["publish", str(artifact), f"{registry.place}:x"]) == 3
    assert main(["publish", str(artifact), "oci://me:s3cret@registry.example/x"]) == 2
    assert "s3cret" not in capsys.readouterr().err
