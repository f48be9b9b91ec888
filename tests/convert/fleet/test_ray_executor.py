"""The executor against a cluster of pretence; slow tests have a real one."""

from __future__ import annotations

import numpy as np
import pytest

from convert import chunks
from convert.executors import ThreadExecutor
from convert.fleet import ray_executor
from convert.fleet.actors import Actors
from convert.fleet.agreement import of_this_process
from convert.fleet.ray_errors import LostTaskError
from convert.fleet.ray_executor import RayExecutor, Tally
from convert.journal import Journal
from convert.stream import NoCalibration, write_layouts
from convert.weights import ArrayWeight
from passes.calibration.products import Intake, LinearProduct
from passes.encodings import encoding
from targets.base import Layout, OutputFile, Placement, WriteJob
from tests.support.pretended_cluster import PretendedCluster

CHUNK = 16 * 32 * 4


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
        actors = Actors(cluster, of_this_process())
        say = (said if said is not None else []).append
        return RayExecutor(cluster, actors, say, outputs, done, abandon)

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
    assert write(tmp_path / "a", on(PretendedCluster())) == write(tmp_path / "b", ThreadExecutor)


def test_a_text_is_multiplied_by_workers(tmp_path):
    by_threads, by_workers = Text(), Text()
    assert write(tmp_path / "a", on(PretendedCluster()), calibration=by_workers) == write(
        tmp_path / "b", ThreadExecutor, calibration=by_threads
    )
    assert np.array_equal(by_threads.outputs, by_workers.outputs)


@pytest.mark.parametrize("call", [0, 1, 2, 5])
def test_a_lost_process_with_a_text_is_replaced(tmp_path, call):
    by_threads, by_workers = Text(), Text()
    cluster = PretendedCluster(lost=call)
    assert write(tmp_path / "a", on(cluster), calibration=by_workers) == write(
        tmp_path / "b", ThreadExecutor, calibration=by_threads
    )
    assert np.array_equal(by_threads.outputs, by_workers.outputs)
    assert cluster.ended == 1
    assert len(cluster.tasks) > 2 * len(by_threads.outputs)


def test_a_lost_process_is_replaced(tmp_path, chunk_by_chunk):
    cluster = PretendedCluster(lost=2)
    assert write(tmp_path / "a", on(cluster)) == write(tmp_path / "b", ThreadExecutor)
    assert cluster.ended == 1
    assert len(cluster.tasks) > 12


def test_parts_of_a_weight_go_to_all_processes_and_its_inputs_once(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CELL_BYTES", 1)
    monkeypatch.setattr(chunks, "FEWEST_CELL_ROWS", 16)
    cluster = PretendedCluster(machines=2)
    text = Text()
    write(tmp_path / "a", on(cluster), calibration=text)
    assert len(text.outputs) == 3
    parts = [given[-1] for method, given in cluster.tasks if method == "multiply"]
    assert [len(chunks) for chunks in parts] == [2] * 2 * len(text.outputs)
    assert cluster.laid_down == len(text.outputs)


def test_weights_with_the_same_inputs_share_them(tmp_path):
    class Shared(Text):
        def run(self, pass_weight):
            inputs = [np.ones((3, 32), np.float32)]
            for job in LAYOUT.jobs[::2]:
                product = LinearProduct(job.weight, inputs)
                product.prepare()
                pass_weight(job.weight, Intake(product, []))()

    cluster = PretendedCluster()
    write(tmp_path / "a", on(cluster), calibration=Shared())
    assert cluster.laid_down == 1


def test_what_waits_for_others_is_not_overtaken_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_executor, "_OVERTAKING", 1)

    class Later(Text):
        def run(self, pass_weight):
            first, *others = LAYOUT.jobs[::2]
            pass_weight(first.weight, None)
            for job in others:
                product = LinearProduct(job.weight, [np.ones((3, 32), np.float32)])
                product.prepare()
                pass_weight(job.weight, Intake(product, []))()

    cluster = PretendedCluster()
    write(tmp_path / "a", on(cluster), calibration=Later())
    methods = [method for method, _ in cluster.tasks]
    assert methods.index("encode") < len(methods) - 1


def test_a_task_that_is_lost_again_and_again_ends_the_run(tmp_path):
    class Broken(PretendedCluster):
        def value(self, result):
            if result.number >= 0:
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

    cluster = PretendedCluster()
    found = write(tmp_path / "a", on(cluster), calibration=Watching())
    assert found[:2] == write(tmp_path / "b", ThreadExecutor)[:2]
    assert seen
    assert cluster.tasks == []


def test_what_was_done_is_kept_and_the_rest_is_told(tmp_path, chunk_by_chunk):
    whole = write(tmp_path / "whole", ThreadExecutor)
    folder, path = tmp_path / "resumed", tmp_path / "journal"
    folder.mkdir()
    said, cluster = [], PretendedCluster(broken=4)
    with (
        Journal(path, folder) as journal,
        pytest.raises(ConnectionError),
    ):
        journal.begin({"run": 1})
        write(folder, on(cluster, said), journals={folder: journal})
    assert cluster.ended
    said, again = [], PretendedCluster()
    with Journal(path, folder) as journal:
        assert write(folder, on(again, said), journals={folder: journal}) == whole
    kept = 12 - len(again.tasks)
    assert 0 < kept < 12
    assert f"{kept} were there already" in said[-1]


def test_few_tasks_wait(tmp_path, chunk_by_chunk):
    cluster = PretendedCluster()
    waiting = []
    ready = cluster.ready
    cluster.ready = lambda results: (waiting.append(len(results)), ready(results))[1]
    write(tmp_path / "a", on(cluster))
    assert max(waiting) <= 4


def test_a_tally_counts_machines():
    tally = Tally(sent=3, kept=1)
    tally.workers.update(["a:1", "a:2", "b:1"])
    assert tally.line() == "3 chunks done by 3 workers on 2 machines, 1 were there already"
