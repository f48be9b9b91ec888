"""The executor against a cluster of pretence, which does every task at once; slow tests have a real
one.
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from convert.executors import ThreadExecutor
from convert.fleet import ray_executor
from convert.fleet.ray_errors import LostTaskError
from convert.fleet.ray_executor import RayExecutor, Tally
from convert.journal import Journal
from convert.stream import NoCalibration, write_layouts
from convert.weights import ArrayWeight
from passes.calibration.products import Intake, LinearProduct
from passes.encodings import encoding
from targets.base import Layout, OutputFile, Placement, WriteJob

CHUNK = 16 * 32 * 4


class Pretence:
    """A cluster whose tasks are done when somebody waits for them, the last one first.

    Args:
        lost: Number of the task that ends in an error.
        lost_after: Results of every second task after which it is lost, once.
        as_list: Give several results as a list, as Ray's client does.
    """

    cores = 1

    def __init__(self, lost=None, as_list=False, lost_after=None):
        self.lost_after = lost_after
        self.lost, self.as_list, self.tasks, self.cancelled, self.needed = lost, as_list, [], 0, []

    def put(self, value):
        return Laid(pickle.dumps(value))

    def submit(self, function, *arguments, memory, results=1):
        self.needed.append(memory)
        self.tasks.append((function, pickle.dumps(arguments)))
        task = Result(len(self.tasks) - 1, self)
        if results > 1 and self.as_list:
            return [task, Second(task)]
        return task

    def require_room(self, memory):
        pass

    def ready(self, waiting):
        return waiting[-1:]

    def value(self, result):
        return result.next()

    def cancel(self, results):
        self.cancelled = len(results)


class Laid:
    def __init__(self, data):
        self.data = data


class Result:
    def __init__(self, number, cluster):
        self.number, self.cluster, self.values = number, cluster, None
        self.given = 0

    def next(self):
        if self.values is None:
            if self.number == self.cluster.lost:
                raise ConnectionError("the task is lost")
            function, data = self.cluster.tasks[self.number]
            given = [
                pickle.loads(each.data) if isinstance(each, Laid) else each
                for each in pickle.loads(data)
            ]
            made = function(*given)
            self.values = made if hasattr(made, "__next__") else iter([made])
        if self.given == self.cluster.lost_after and self.number % 2 == 0:
            raise LostTaskError("gone", expected="a worker")
        self.given += 1
        return pickle.loads(pickle.dumps(next(self.values)))


class Second:
    def __init__(self, first):
        self.next = first.next


def layout():
    rng = np.random.default_rng(5)
    jobs, offset = [], 0
    for number in range(3):
        weight = ArrayWeight(f"w{number}", rng.normal(size=(64, 32)).astype(np.float32))
        for name in ("q8_0", "bf16"):
            kind = encoding(name)
            (plane,) = kind.planes(32)
            jobs.append(WriteJob(weight, kind, (Placement("data.bin", offset),)))
            offset += plane.nbytes(64)
    return Layout((OutputFile("data.bin", offset, ()),), tuple(jobs))


LAYOUT = layout()


def on(cluster, said=None):
    def execute(outputs, threads, done, abandon):
        return RayExecutor(
            cluster, (said if said is not None else []).append, outputs, done, abandon
        )

    return execute


def write(folder, executing, **options):
    folder.mkdir(exist_ok=True)
    told = []
    written = write_layouts(
        [(folder, LAYOUT)], told.append, chunk_bytes=CHUNK, executing=executing, **options
    )
    return (folder / "data.bin").read_bytes(), written[folder]["data.bin"].record, sum(told)


class Text(NoCalibration):
    """A text that is multiplied with every weight."""

    def __init__(self):
        self.outputs = []

    def multiplies(self, weight):
        return True

    def run(self, pass_weight):
        for job in LAYOUT.jobs[::2]:
            product = LinearProduct(job.weight, [np.ones((3, 32), np.float32)])
            product.prepare()
            pass_weight(job.weight, Intake(product, []))()
            self.outputs.append(product.outputs()[0])


@pytest.fixture
def chunk_by_chunk(monkeypatch):
    monkeypatch.setattr(ray_executor, "_TOGETHER", 1)


@pytest.mark.parametrize("together", [1, 2 * CHUNK, 1 << 20])
def test_bytes_hashes_and_progress_are_those_of_threads(tmp_path, monkeypatch, together):
    monkeypatch.setattr(ray_executor, "_TOGETHER", together)
    assert write(tmp_path / "a", on(Pretence())) == write(tmp_path / "b", ThreadExecutor)


@pytest.mark.parametrize("as_list", [False, True])
def test_a_text_is_multiplied_by_workers(tmp_path, as_list):
    by_threads, by_workers = Text(), Text()
    assert write(tmp_path / "a", on(Pretence(as_list=as_list)), calibration=by_workers) == write(
        tmp_path / "b", ThreadExecutor, calibration=by_threads
    )
    assert np.array_equal(by_threads.outputs, by_workers.outputs)


@pytest.mark.parametrize("after", [0, 1])
def test_a_lost_task_with_a_text_is_done_again(tmp_path, after):
    by_threads, by_workers, cluster = Text(), Text(), Pretence(lost_after=after)
    assert write(tmp_path / "a", on(cluster), calibration=by_workers) == write(
        tmp_path / "b", ThreadExecutor, calibration=by_threads
    )
    assert np.array_equal(by_threads.outputs, by_workers.outputs)
    assert len(cluster.tasks) == 2 * len(LAYOUT.jobs[::2])


def test_a_task_that_is_lost_again_and_again_ends_the_run(tmp_path):
    class Broken(Pretence):
        def value(self, result):
            raise LostTaskError("gone", expected="a worker")

    cluster = Broken()
    with pytest.raises(LostTaskError):
        write(tmp_path / "a", on(cluster), calibration=Text())
    assert len(cluster.tasks) <= 8 * 4 + 4


def test_what_looks_at_weights_is_done_by_the_driver(tmp_path):
    seen = []

    class Watching(Text):
        def run(self, pass_weight):
            for job in LAYOUT.jobs[::2]:
                pass_weight(job.weight, lambda block: seen.append(block.start))

    cluster = Pretence()
    found = write(tmp_path / "a", on(cluster), calibration=Watching())
    assert found[:2] == write(tmp_path / "b", ThreadExecutor)[:2]
    assert seen
    assert cluster.tasks == []


def test_what_was_done_is_kept_and_the_rest_is_told(tmp_path, chunk_by_chunk):
    whole = write(tmp_path / "whole", ThreadExecutor)
    folder, path = tmp_path / "resumed", tmp_path / "journal"
    folder.mkdir()
    said, cluster = [], Pretence(lost=2)
    with (
        Journal(path, folder) as journal,
        pytest.raises(ConnectionError),
    ):
        journal.begin({"run": 1})
        write(folder, on(cluster, said), journals={folder: journal})
    assert cluster.cancelled
    said, again = [], Pretence()
    with Journal(path, folder) as journal:
        assert write(folder, on(again, said), journals={folder: journal}) == whole
    kept = 12 - len(again.tasks)
    assert 0 < kept < 12
    assert f"{kept} were there already" in said[-1]


def test_few_tasks_wait(tmp_path, chunk_by_chunk):
    cluster = Pretence()
    waiting = []
    ready = cluster.ready
    cluster.ready = lambda results: (waiting.append(len(results)), ready(results))[1]
    write(tmp_path / "a", on(cluster))
    assert max(waiting) <= 4


def test_a_tally_counts_machines():
    tally = Tally(sent=3, kept=1)
    tally.workers.update(["a:1", "a:2", "b:1"])
    assert tally.line() == "3 chunks done by 3 workers on 2 machines, 1 were there already"
