"""Who does the chunks does not matter to the bytes, nor to what a later run goes on from."""

from __future__ import annotations

import numpy as np
import pytest

from convert.chunk_worker import ChunkWorker
from convert.executors import ThreadExecutor
from convert.journal import Journal
from convert.stream import write_layouts
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.base import Layout, OutputFile, Placement, WriteJob

CHUNK = 16 * 32 * 4


class LastFirst:
    """Does chunks one by one when all are there, the last of them first."""

    def __init__(self, outputs, threads, done, abandon):
        self.worker, self.done, self.waiting = ChunkWorker(outputs), done, []

    def submit(self, chunk):
        self.waiting.append(chunk)

    def finish(self):
        while self.waiting:
            self.done(self.worker.process(self.waiting.pop()))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            self.finish()


class Killed(LastFirst):
    """Loses its workers after three chunks."""

    def finish(self):
        for _ in range(3):
            self.done(self.worker.process(self.waiting.pop()))
        raise ConnectionError("the workers are gone")


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


def write(folder, executing, **options):
    folder.mkdir(exist_ok=True)
    told = []
    written = write_layouts(
        [(folder, layout())], told.append, chunk_bytes=CHUNK, executing=executing, **options
    )
    return (folder / "data.bin").read_bytes(), written[folder]["data.bin"].record, sum(told)


def test_bytes_hashes_and_progress_are_the_same_whoever_does_the_chunks(tmp_path):
    by_threads = write(tmp_path / "threads", ThreadExecutor)
    assert write(tmp_path / "other", LastFirst) == by_threads
    assert by_threads[2] == 3 * 64 * 32 * 4


def test_threads_go_on_from_what_another_executor_left(tmp_path, monkeypatch):
    whole = write(tmp_path / "whole", ThreadExecutor)
    folder, path = tmp_path / "resumed", tmp_path / "journal"
    folder.mkdir()
    with Journal(path, folder) as journal, pytest.raises(ConnectionError):
        write(folder, Killed, journals={folder: journal})
    read = []
    reading = ArrayWeight.read_rows
    monkeypatch.setattr(
        ArrayWeight,
        "read_rows",
        lambda self, start, stop: read.append(self.name) or reading(self, start, stop),
    )
    with Journal(path, folder) as journal:
        assert write(folder, ThreadExecutor, journals={folder: journal}) == whole
    assert len(read) == 12 - 3
