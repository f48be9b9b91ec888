"""Observations are kept beside the artifacts, and found again."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convert import observing
from convert.checkpoint import open_checkpoint
from convert.errors import MissingFileError, UnsupportedTokenizerError
from convert.observing import find_or_observe, observations_name, snapshot_path
from convert.preparation import open_source
from convert.progress import Reporter
from passes.calibration.observations import Observations
from tests.support.models import small_model
from tests.support.runs import ROOT
from tests.support.tokenizer import save_tokenizer


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    small_model("llama", vocab_size=300, max_position_embeddings=64).save(folder)
    save_tokenizer(folder)
    return open_checkpoint(str(folder))


def find(checkpoint, out, text=None, digest="digest"):
    lines = io.StringIO()
    config = open_source(checkpoint).config
    found = find_or_observe(checkpoint, config, digest, out, text=text, reporter=Reporter(lines))
    return found, lines.getvalue()


def test_observations_are_made_once(checkpoint, tmp_path, monkeypatch):
    out = tmp_path / "new" / "folder"
    made, said = find(checkpoint, out)
    assert "calibrate on" in said
    [path] = out.iterdir()
    assert path.name == observations_name("digest", None)
    assert Observations.from_json(path.read_text()) == made
    monkeypatch.setattr(observing, "observe", None)
    found, said = find(checkpoint, out)
    assert found == made
    assert "there already" in said


def test_no_sequence_is_longer_than_the_model_has_positions(checkpoint, tmp_path, monkeypatch):
    seen = []
    observe = observing.observe

    def watching(model, sequences, *rest, **named):
        seen.extend(map(len, sequences))
        return observe(model, sequences, *rest, **named)

    monkeypatch.setattr(observing, "observe", watching)
    find(checkpoint, tmp_path)
    assert max(seen) <= 64


@pytest.mark.parametrize("damage", ["", "{", '{"inputs": {}}'])
def test_a_damaged_file_is_made_again(checkpoint, tmp_path, damage):
    made, _ = find(checkpoint, tmp_path)
    path = tmp_path / observations_name("digest", None)
    path.write_text(damage)
    assert find(checkpoint, tmp_path)[0] == made
    assert Observations.from_json(path.read_text()) == made


def test_the_name_depends_on_checkpoint_and_text(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("one")
    names = {observations_name("a", None), observations_name("b", None)}
    names.add(observations_name("a", text))
    text.write_text("two")
    names.add(observations_name("a", text))
    assert len(names) == 4


def test_a_users_text_is_what_the_result_names(checkpoint, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("some words of my own")
    found, _ = find(checkpoint, tmp_path / "out", text)
    assert found.tokens == len("some words of my own")
    assert found.text_sha256 != find(checkpoint, tmp_path / "out")[0].text_sha256


def test_a_text_that_is_not_there_is_reported_first(checkpoint, tmp_path):
    with pytest.raises(MissingFileError, match=r"gone\.txt"):
        find(checkpoint, tmp_path, tmp_path / "gone.txt")


def test_a_broken_tokenizer_says_what_needs_it(tmp_path):
    small_model("llama", num_hidden_layers=1).save(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UnsupportedTokenizerError, match="calibration cannot read a text"):
        find(open_checkpoint(str(tmp_path)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


SLOWED_RUN = """
import sys, time
from pathlib import Path
from convert.checkpoint import open_checkpoint
from passes.calibration import execution, snapshots
from tests.convert.test_observing import find

def slowly(self, state):
    self.keep(state())
    time.sleep(0.2)

snapshots.Snapshots.offer = slowly
find(open_checkpoint(sys.argv[1]), Path(sys.argv[2]))
"""


def finished(path: Path) -> int:
    """Steps that a snapshot has behind it."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return int(file.get_tensor("done"))


def test_a_killed_run_is_gone_on_with(checkpoint, tmp_path, monkeypatch):
    expected, _ = find(checkpoint, tmp_path / "undisturbed")
    out = tmp_path / "killed"
    snapshot = snapshot_path(out / observations_name("digest", None))
    command = [sys.executable, "-c", SLOWED_RUN, str(checkpoint.folder), str(out)]
    with subprocess.Popen(command, cwd=ROOT) as run:
        while run.poll() is None and not (snapshot.exists() and finished(snapshot) > 40):
            time.sleep(0.01)
        run.kill()
    assert run.returncode == -signal.SIGKILL
    behind, begun = finished(snapshot), []
    monkeypatch.setattr(
        "passes.calibration.execution.Execution.before",
        lambda self, step: begun.append(self.done),
    )
    found, said = find(checkpoint, out)
    assert found == expected
    assert "going on" in said
    assert min(begun) == behind
    assert [path.name for path in out.iterdir()] == [observations_name("digest", None)]


@pytest.mark.parametrize("content", [b"", b"torn", bytes(1000)])
def test_a_snapshot_that_is_none_is_passed_over(checkpoint, tmp_path, content):
    expected, _ = find(checkpoint, tmp_path / "undisturbed")
    snapshot = snapshot_path(tmp_path / observations_name("digest", None))
    snapshot.write_bytes(content)
    found, said = find(checkpoint, tmp_path)
    assert found == expected
    assert "going on" not in said
    assert not snapshot.exists()


@pytest.mark.parametrize("restart", [False, True])
def test_a_restart_discards_how_far_an_earlier_run_was(checkpoint, tmp_path, monkeypatch, restart):
    left = snapshot_path(tmp_path / observations_name("digest", None))
    left.write_bytes(b"left")
    observe, there = observing.observe, []

    def watching(*arguments, **named):
        there.append(left.exists())
        return observe(*arguments, **named)

    monkeypatch.setattr(observing, "observe", watching)
    config = open_source(checkpoint).config
    find_or_observe(
        *(checkpoint, config, "digest", tmp_path),
        text=None,
        reporter=Reporter(io.StringIO()),
        restart=restart,
    )
    assert there == [not restart]


def test_as_many_tokens_are_read_as_are_asked_for(checkpoint, tmp_path):
    config, reporter = open_source(checkpoint).config, Reporter(io.StringIO())
    found = find_or_observe(
        *(checkpoint, config, "digest", tmp_path), text=None, reporter=reporter, most_tokens=100
    )
    assert 64 < found.tokens <= 100
    assert observations_name("digest", None, 100) != observations_name("digest", None)
