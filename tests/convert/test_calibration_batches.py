"""Batches of a text over workers: the same files whoever runs them, and nothing is run twice."""

from __future__ import annotations

import io

import pytest

from convert import calibration_batches
from convert.calibration_batches import BatchRuns, forget_batches
from convert.checkpoint import open_checkpoint
from convert.errors import MissingFileError, NonFiniteWeightError, UnavailableWorkersError
from convert.measuring import find_or_measure, measured_name
from convert.observing import find_or_observe, observations_name
from convert.preparation import open_source
from convert.progress import Reporter
from convert.workers import THIS_PROCESS
from passes.calibration import execution
from passes.calibration.batch_runs import separate_batches
from passes.calibration.observations import watchers
from tests.support.models import small_model
from tests.support.tokenizer import save_tokenizer
from tests.support.workers import Elsewhere, PoolWorkers

TOKENS = 400
BATCH = 130
BATCHES = 4


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "BATCH_TOKENS", BATCH)
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    small_model("llama", num_hidden_layers=1, vocab_size=300, max_position_embeddings=64).save(
        folder
    )
    save_tokenizer(folder)
    return open_checkpoint(str(folder))


def find(checkpoint, out, workers, **options):
    lines = io.StringIO()
    made = find_or_observe(
        *(checkpoint, open_source(checkpoint).config, "digest", out),
        text=None, reporter=Reporter(lines), most_tokens=TOKENS, workers=workers, **options,
    )  # fmt: skip
    [path] = out.iterdir()
    assert path.name == observations_name("digest", None, TOKENS)
    return path.read_bytes(), lines.getvalue(), made


@pytest.fixture(scope="module")
def expected(checkpoint, tmp_path_factory):
    return find(checkpoint, tmp_path_factory.mktemp("here"), THIS_PROCESS)[0]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_observations_are_the_same_bytes_whoever_makes_them(checkpoint, tmp_path, expected, count):
    workers = Elsewhere(count)
    found, said, _ = find(checkpoint, tmp_path, workers)
    assert found == expected
    assert len(workers.done) == BATCHES
    assert max(each.tokens for each in workers.done) <= BATCH
    assert workers.memory[0] > 100e6
    assert said.startswith("calibrate on")


def test_processes_of_which_one_is_killed_give_the_same(checkpoint, tmp_path, expected):
    workers = PoolWorkers(2, killed_at=tmp_path / "killed")
    assert find(checkpoint, tmp_path / "out", workers)[0] == expected
    assert workers.deaths == 1


def test_what_is_measured_is_the_same_bytes_whoever_measures(checkpoint, tmp_path):
    config, reporter = open_source(checkpoint).config, Reporter(io.StringIO())

    def measured(out, workers):
        find_or_measure(
            *(checkpoint, config, "digest", out, (0.4, 0.8)),
            text=None, reporter=reporter, most_tokens=TOKENS, workers=workers,
        )  # fmt: skip
        [path] = out.iterdir()
        assert path.name == measured_name("digest", None, (0.4, 0.8), TOKENS)
        return path.read_bytes()

    here = measured(tmp_path / "here", THIS_PROCESS)
    for count in (1, 4):
        assert measured(tmp_path / str(count), Elsewhere(count)) == here
    assert measured(tmp_path / "pool", PoolWorkers(2)) == here


def test_a_driver_that_is_started_again_has_only_the_other_batches_run(
    checkpoint, tmp_path, expected
):
    with pytest.raises(KeyboardInterrupt):
        find(checkpoint, tmp_path, Elsewhere(1, fail_after=3))
    kept = sorted(path.name.rpartition("-")[2] for path in tmp_path.iterdir())
    assert kept == ["0", "1", "2"]
    again = Elsewhere(2)
    found, said, _ = find(checkpoint, tmp_path, again)
    assert found == expected
    assert [batch.number for batch in again.done] == [3]
    assert "3 of 4 batches are there already" in said


@pytest.mark.parametrize("damage", ["torn", "machine"])
def test_a_state_that_is_torn_or_of_another_machine_is_made_again(
    checkpoint, tmp_path, expected, damage, monkeypatch
):
    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        if damage == "machine":
            patch.setattr(calibration_batches, "arithmetic", lambda: "of another machine")
        find(checkpoint, tmp_path, Elsewhere(1, fail_after=2))
    for path in tmp_path.iterdir():
        if damage == "torn":
            path.write_bytes(path.read_bytes()[:-1])
    again = Elsewhere(4)
    assert find(checkpoint, tmp_path, again)[0] == expected
    assert len(again.done) == BATCHES


def test_a_restart_begins_anew(checkpoint, tmp_path, expected):
    with pytest.raises(KeyboardInterrupt):
        find(checkpoint, tmp_path, Elsewhere(1, fail_after=2))
    again = Elsewhere(4)
    assert find(checkpoint, tmp_path, again, restart=True)[0] == expected
    assert len(again.done) == BATCHES


def test_what_a_worker_would_compute_otherwise_is_run_here(
    checkpoint, tmp_path, expected, monkeypatch
):
    own = calibration_batches.arithmetic()
    kinds = iter([own, own, "another", own, "another"])
    monkeypatch.setattr(calibration_batches, "arithmetic", lambda: next(kinds))
    found, said, _ = find(checkpoint, tmp_path, Elsewhere(1))
    assert found == expected
    assert said.count("is run here: the worker") == 2
    assert "batch 1 is" in said


@pytest.mark.parametrize("workers", [Elsewhere(2), PoolWorkers(2)], ids=["here", "pool"])
def test_errors_of_a_batch_come_out_as_they_are(tmp_path, workers):
    small = small_model("llama", num_hidden_layers=1, vocab_size=300, max_position_embeddings=64)
    small.torch_model.model.norm.weight.data[3] = float("nan")
    folder = small.save(tmp_path / "model")
    save_tokenizer(folder)
    checkpoint = open_checkpoint(str(folder))
    with pytest.raises(NonFiniteWeightError, match=r"input of lm_head\.weight is NaN") as caught:
        find(checkpoint, tmp_path / "out", workers)
    assert caught.value.remedy == "check the checkpoint: a weight before it may be damaged"
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnavailableWorkersError, match="does not see the checkpoint") as caught:
        find(checkpoint, tmp_path / "out", workers)
    assert "model.safetensors" in caught.value.found


def test_one_batch_is_for_this_process_which_goes_on_from_snapshots(checkpoint):
    config = open_source(checkpoint).config
    runs = BatchRuns(Elsewhere(4), checkpoint, config, watchers)
    model = small_model("llama", num_hidden_layers=1).graph()
    assert runs.apart(model, [[1] * BATCH]) == ()
    assert len(runs.apart(model, [[1] * BATCH, [2]])) == 2
    alone = BatchRuns(THIS_PROCESS, checkpoint, config, watchers)
    assert alone.apart(model, [[1] * BATCH, [2]]) == ()


def test_a_state_that_is_taken_away_is_explained(checkpoint, tmp_path, monkeypatch):
    runs = BatchRuns(Elsewhere(2), checkpoint, open_source(checkpoint).config, watchers)
    model = small_model("llama", num_hidden_layers=1, vocab_size=300).graph()
    path = tmp_path / "made.json"
    monkeypatch.setattr("convert.progress.Reporter.transfer", lambda *_: _Removing(path))
    with pytest.raises(MissingFileError, match="is gone"):
        batches = separate_batches(model, [[1] * BATCH, [2, 3]])
        runs.states(model, batches, path, "run", Reporter(io.StringIO()))


class _Removing:
    """A transfer, after which somebody tidies up."""

    def __init__(self, path):
        self._path = path

    def __enter__(self):
        return lambda count: None

    def __exit__(self, *_):
        forget_batches(self._path)
