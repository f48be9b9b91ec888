"""Pages of finished artifacts: by the command, and while a run goes on."""

from __future__ import annotations

import dataclasses
import io

import pytest

from convert.__main__ import main
from convert.errors import BrokenInputError, GateError, MissingFileError, UsageError
from convert.manifest import write_manifest
from convert.progress import Reporter
from convert.reporting import during_run, making
from convert.reporting.data import data_path, page_path, read_data, write_data
from convert.reporting.during_run import Pages
from convert.reporting.findings import Findings
from convert.reporting.making import make_page
from convert.weight_errors import WeightError
from tests.support import reports

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def artifact(tmp_path):
    folder = tmp_path / "gguf-q4_0"
    folder.mkdir()
    write_manifest(folder, reports.manifest())
    return folder


def make(artifact, **options):
    said = io.StringIO()
    values = {"out": None, "gate": False, "golden": None, "threads": 1}
    place = make_page(artifact, **{**values, **options}, reporter=Reporter(said))
    return place.read_text(), said.getvalue()


def test_the_command_writes_the_page_and_names_it(artifact, capsys):
    assert main(["report", str(artifact)]) == 0
    assert capsys.readouterr().out.strip() == str(page_path(artifact))
    assert "were not kept" in page_path(artifact).read_text()
    assert {path.name for path in artifact.iterdir()} == {"manifest.json"}


def test_what_was_kept_is_shown(artifact):
    write_data(data_path(artifact), reports.data(reports.manifest()))
    text, said = make(artifact)
    assert "Word by word" in text
    assert said == ""


def test_what_was_kept_of_another_artifact_is_not(artifact):
    kept = reports.data(reports.manifest())
    write_data(data_path(artifact), kept.model_copy(update={"files_sha256": "other"}))
    text, said = make(artifact)
    assert "Word by word" not in text
    assert "gguf-q4_0.report.json is of another artifact" in said


def test_the_page_may_lie_elsewhere(artifact, tmp_path):
    make(artifact, out=tmp_path / "page.html")
    assert (tmp_path / "page.html").is_file()
    assert not page_path(artifact).exists()
    with pytest.raises(UsageError, match="cannot write"):
        make(artifact, out=tmp_path / "nowhere" / "page.html")


def test_what_is_missing_is_found_by_running_the_artifact(artifact, tmp_path, monkeypatch):
    asked = []

    def gate(*given, **options):
        asked.append((given, options))
        return dataclasses.replace(reports.result(), details=reports.details())

    monkeypatch.setattr(making, "run_gate", gate)
    text, _ = make(artifact, gate=True, golden=tmp_path / "golden")
    assert "Word by word" in text
    assert asked[0][0][2] == tmp_path / "golden"
    assert asked[0][1]["digest"] == "d" * 64
    assert read_data(data_path(artifact)).details == reports.details()
    assert "Word by word" in make(artifact)[0]


def test_an_artifact_that_matches_no_more_gets_no_page(artifact, tmp_path, monkeypatch):
    failed = reports.result(failures=("mean KL is above",))
    monkeypatch.setattr(making, "run_gate", lambda *_, **__: failed)
    with pytest.raises(GateError, match="does not match"):
        make(artifact, gate=True, golden=tmp_path / "golden")
    assert not page_path(artifact).exists()


def test_refusals(artifact, tmp_path):
    with pytest.raises(MissingFileError, match=r"manifest\.json"):
        make(tmp_path)
    with pytest.raises(MissingFileError, match="recording"):
        make(artifact, gate=True)
    data_path(artifact).write_text("{")
    with pytest.raises(BrokenInputError):
        make(artifact)


@dataclasses.dataclass
class FakeItem:
    """Of what is prepared, what pages look at."""

    model: object = None


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.setattr(during_run, "parameters", lambda model: {})
    monkeypatch.setattr(during_run, "_roofline", lambda *_: None)

    def make(*, wanted=True, checked=True):
        said = io.StringIO()
        return Pages(None, Reporter(said), wanted=wanted, checked=checked), said

    return make


def found():
    findings = Findings()
    result = dataclasses.replace(reports.result(), details=reports.details())
    findings.take(result, (WeightError("worst", 0.2), WeightError("best", 0.1)))
    return findings


def test_a_run_leaves_a_page_and_says_where(pages, tmp_path):
    writer, said = pages()
    writer.write(tmp_path / "a", reports.manifest(), FakeItem(), found())
    writer.announce()
    assert said.getvalue() == f"report: {tmp_path / 'a.report.html'}\n"
    assert "Word by word" in (tmp_path / "a.report.html").read_text()
    assert read_data(tmp_path / "a.report.json").details == reports.details()


def test_an_unchecked_artifact_gets_its_data_alone(pages, tmp_path):
    writer, said = pages(checked=False)
    writer.write(tmp_path / "a", reports.manifest(), FakeItem(), Findings())
    writer.announce()
    assert said.getvalue() == f"report: `convert report {tmp_path / 'a'}`\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.report.json"]


def test_nothing_is_written_where_none_is_wanted(pages, tmp_path):
    writer, said = pages(wanted=False)
    writer.write(tmp_path / "a", reports.manifest(), FakeItem(), found())
    writer.announce()
    assert (said.getvalue(), list(tmp_path.iterdir())) == ("", [])


def test_a_page_that_cannot_be_written_is_said_and_ends_nothing(pages, tmp_path):
    writer, said = pages()
    writer.write(tmp_path / "no" / "a", reports.manifest(), FakeItem(), found())
    writer.announce()
    assert "the report of gguf-q4_0 could not be written" in said.getvalue()


def test_a_refused_artifact_has_its_figures():
    record = found().refused()
    assert (record.status, record.worst_tensor, record.weight_error) == ("unverified", "worst", 0.2)
    assert record.result["overall"]["mean_kld"] == 0.154
    assert Findings().refused().result is None
    endless = Findings()
    endless.take(reports.result(), (WeightError("worst", float("nan")),))
    assert endless.refused().weight_error is None
    data = endless.data(reports.manifest(), {}, Reporter(io.StringIO()).history, ["why"])
    assert data.failures == ("why",)
