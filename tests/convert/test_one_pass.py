"""A text on the read of the stream: its moments decide the bytes, and nothing else does."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from convert import chunks, stream
from convert import one_pass as module
from convert.architectures import architecture_of
from convert.calibration_text import CalibrationText
from convert.checkpoint import open_checkpoint
from convert.errors import ChangedInputError, InterruptedRunError, NonFiniteWeightError
from convert.journal import Journal
from convert.moments import rounded
from convert.moments_file import load
from convert.one_pass import OnePass
from convert.stream import write_layouts
from convert.weight_views import ColumnRanges
from convert.weights import ArrayWeight, RowRange, RowRanges
from passes.calibration import snapshots
from passes.calibration.execution import Execution, run
from passes.calibration.observers import SecondMoments
from passes.calibration.snapshots import Snapshots
from passes.encodings import encoding
from targets.base import Layout, OutputFile, Placement, WriteJob
from tests.support.runs import TINY_LLAMA

TEXTS = ((1, 5, 9, 2, 77, 30), tuple(range(3, 40)))
TEXT = CalibrationText("0" * 64, TEXTS)
KINDS = ("q4_0", "int4_g32", "bf16")
DOWN = "model.layers.3.mlp.down_proj.weight"


class CountingWeight(ArrayWeight):
    """Counts how often each row is read."""

    def read_rows(self, start, stop):
        counts = self.__dict__.setdefault("counts", np.zeros(self.rows, int))
        np.add.at(counts, np.arange(start, stop), 1)
        return super().read_rows(start, stop)


@pytest.fixture(autouse=True)
def small_cells(monkeypatch):
    """Sixteen rows of the hidden size, so that weights have several."""
    monkeypatch.setattr(chunks, "CELL_BYTES", 1 << 12)
    monkeypatch.setattr(chunks, "FEWEST_CELL_ROWS", 8)


@pytest.fixture(scope="module")
def checkpoint():
    return open_checkpoint(str(TINY_LLAMA))


@pytest.fixture
def weights(checkpoint):
    return {
        name: CountingWeight(name, np.array(weight.read_rows(0, weight.rows)).reshape(weight.shape))
        for name, weight in checkpoint.weights.items()
    }


@pytest.fixture
def graph(checkpoint, weights):
    """Builds the float graph, again and again."""
    architecture = architecture_of(checkpoint.config)
    config = architecture.parse(checkpoint.config)
    return lambda: architecture.build(config, weights)


@pytest.fixture
def begin(tmp_path, graph):
    """Opens the run of the text, again and again."""
    return lambda: OnePass(graph(), TEXT, tmp_path / "moments-0.safetensors")


def linear(weights):
    return [name for name in weights if "layers" in name and len(weights[name].shape) == 2]


def place(weight, kind, offset, *, awaiting=True):
    """A job that writes a weight at an offset of the file, and where it ends."""
    stored, placements = encoding(kind), []
    if awaiting and kind not in ("bf16", "f32"):
        stored = stored.awaiting_moments()
    for plane in stored.planes(weight.columns):
        placements.append(Placement("data", offset))
        offset += plane.nbytes(weight.rows)
    return WriteJob(weight, stored, tuple(placements)), offset


def layout_of(weights, kinds=KINDS):
    """Every matrix in every kind, those of linear layers awaiting moments; vectors as they are."""
    jobs, offset = [], 3
    for name, weight in weights.items():
        matrix = len(weight.shape) == 2
        for kind in kinds if matrix else ("f32",):
            job, offset = place(weight, kind, offset, awaiting="embed" not in name)
            jobs.append(job)
    return Layout((OutputFile("data", offset, ((0, b"one"),)),), tuple(jobs))


def written(folder, layout, calibration, **options):
    folder.mkdir(exist_ok=True)
    write_layouts([(folder, layout)], calibration=calibration, **options)
    return (folder / "data").read_bytes()


def by_hand(layout, moments_of):
    """The bytes that the jobs should give."""
    data = bytearray(layout.files[0].size)
    data[:3] = b"one"
    for job in layout.jobs:
        stored = job.encoding
        if getattr(stored, "awaits_moments", False):
            stored = encoding(stored.name).weighted(moments_of(job.weight))
        planes = stored.encode(job.weight.read_rows(0, job.weight.rows))
        for placement, plane in zip(job.placements, planes, strict=True):
            data[placement.offset : placement.offset + plane.nbytes] = plane.tobytes()
    return bytes(data)


def kept(tmp_path, weights):
    """The moments in the file."""
    features = {name: each.columns for name, each in weights.items() if len(each.shape) == 2}
    return load(tmp_path / "moments-0.safetensors", features).moments


def test_what_awaits_moments_gets_those_of_the_text_and_each_row_is_read_once(
    tmp_path, graph, begin, weights
):
    one_pass, layout = begin(), layout_of(weights)
    data = written(tmp_path / "a", layout, one_pass)
    assert all((weights[name].counts == 1).all() for name in linear(weights))
    one_pass.keep("d")
    moments = kept(tmp_path, weights)
    assert data == by_hand(layout, lambda weight: moments[weight.name])
    assert data != by_hand(layout, lambda weight: np.ones(weight.columns))
    observer = SecondMoments()
    run(graph(), TEXTS, (observer,))
    for name, found in moments.items():
        seen = observer.sums[name] / observer.tokens[name]
        # Half a step of bfloat16, and what other blocks change.
        np.testing.assert_allclose(found, seen, rtol=2**-8 + 1e-4)
        assert np.array_equal(rounded(found), found)


@pytest.mark.parametrize(("threads", "chunk"), [(1, 1), (3, 1), (2, 20_000), (1, 1 << 30)])
def test_threads_and_memory_change_no_byte(tmp_path, begin, weights, threads, chunk):
    layout = layout_of(weights)
    one, other = begin(), begin()
    data = written(tmp_path / "a", layout, one)
    assert written(tmp_path / "b", layout, other, threads=threads, chunk_bytes=chunk) == data
    assert one.record() == other.record()
    assert one.record().tokens == 43


def test_kept_moments_spare_the_text(tmp_path, begin, weights, monkeypatch):
    one_pass, layout = begin(), layout_of(weights)
    data = written(tmp_path / "a", layout, one_pass)
    one_pass.keep("d")

    def refuse(*_):
        raise AssertionError("the text is run again")

    monkeypatch.setattr(Execution, "run_fed", refuse)
    again = begin()
    assert again.found_at == tmp_path / "moments-0.safetensors"
    assert written(tmp_path / "b", layout, again) == data
    assert again.record() == one_pass.record()
    again.keep("d")


def test_kept_moments_of_another_checkpoint_are_refused_and_removed(tmp_path, begin, weights):
    one_pass, layout = begin(), layout_of(weights)
    written(tmp_path / "a", layout, one_pass)
    one_pass.keep("d")
    with pytest.raises(ChangedInputError, match=r"moments-0\.safetensors is of a checkpoint d"):
        begin().keep("e")
    assert begin().found_at is None


def snapshot_always(monkeypatch):
    monkeypatch.setattr(module, "Snapshots", partial(Snapshots, seconds_between=0))
    monkeypatch.setattr(snapshots, "_COST", 1e9)


def interrupted(folder, layout, calibration, monkeypatch, at):
    """A run that ends after some writes."""
    count, write_all = [0], stream.write_all

    def until(*given):
        count[0] += 1
        if count[0] > at:
            raise InterruptedRunError("interrupted")
        write_all(*given)

    folder.mkdir(exist_ok=True)
    with monkeypatch.context() as patch, Journal(folder / "journal", folder) as journal:
        if journal.is_empty:
            journal.begin({})
        patch.setattr(stream, "write_all", until)
        with pytest.raises(InterruptedRunError):
            written(folder, layout, calibration, journals={folder: journal})


@pytest.mark.parametrize("at", [3, 40, 90])
def test_an_interrupted_run_goes_on_and_ends_in_the_same_bytes(
    tmp_path, begin, weights, monkeypatch, at
):
    layout, undisturbed = layout_of(weights), begin()
    data = written(tmp_path / "a", layout, undisturbed)
    snapshot_always(monkeypatch)
    for _ in range(2):
        interrupted(tmp_path / "b", layout, begin(), monkeypatch, at)
    assert (tmp_path / ".moments-0.snapshot").exists()
    for weight in weights.values():
        weight.counts = np.zeros(weight.rows, int)
    last = begin()
    with Journal(tmp_path / "b" / "journal", tmp_path / "b") as journal:
        assert written(tmp_path / "b", layout, last, journals={tmp_path / "b": journal}) == data
    assert at == 3 or not weights["model.layers.0.self_attn.q_proj.weight"].counts.any()
    assert last.record() == undisturbed.record()
    last.keep("d")
    assert not (tmp_path / ".moments-0.snapshot").exists()


def test_an_earlier_run_can_be_forgotten(tmp_path, begin, weights, monkeypatch):
    snapshot_always(monkeypatch)
    interrupted(tmp_path / "b", layout_of(weights), begin(), monkeypatch, 60)
    begin().forget()
    assert not (tmp_path / ".moments-0.snapshot").exists()


def test_views_get_the_moments_of_what_they_view(tmp_path, begin, weights):
    """As ranks have them: parts of a weight by rows and by columns, which the text is not
    multiplied with.
    """
    down, name = weights[DOWN], "model.layers.1.self_attn.{}_proj.weight"
    fused = [weights[name.format(part)] for part in "qkv"]
    views = [
        ColumnRanges(down, ((128, 256), (0, 32))),
        RowRanges("rows", (RowRange(down, 24, 56),)),
        RowRanges("qkv", tuple(RowRange(each, 0, each.rows) for each in fused)),
    ]
    mixed = RowRanges(
        "mixed", (RowRange(fused[0], 0, 8), RowRange(weights[name.format("o")], 0, 8))
    )
    one_pass = begin()
    assert all(map(one_pass.knows, [*views, *fused, down]))
    assert not one_pass.knows(mixed)
    assert not one_pass.knows(weights["model.norm.weight"])
    jobs, offset = [], 3
    for weight in views:
        job, offset = place(weight, "q4_0", offset)
        jobs.append(job)
    layout = Layout((OutputFile("data", offset, ((0, b"one"),)),), tuple(jobs))
    data = written(tmp_path / "a", layout, one_pass)
    one_pass.keep("d")
    moments = kept(tmp_path, weights)
    of_views = {
        id(views[0]): np.concatenate([moments[DOWN][128:256], moments[DOWN][:32]]),
        id(views[1]): moments[DOWN],
        id(views[2]): moments[fused[0].name],
    }
    assert data == by_hand(layout, lambda weight: of_views[id(weight)])


def test_a_weight_that_is_not_finite_is_named_rather_than_what_comes_of_it(
    tmp_path, begin, weights, monkeypatch
):
    weights[DOWN].array[5, 7] = np.inf
    snapshot_always(monkeypatch)
    with pytest.raises(NonFiniteWeightError, match=DOWN) as caught:
        written(tmp_path / "a", layout_of(weights), begin())
    assert "row 5, column 7" in str(caught.value)
    assert not (tmp_path / ".moments-0.snapshot").exists()
