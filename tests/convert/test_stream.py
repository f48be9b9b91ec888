"""The stream: right bytes wherever they go, one read for all, bounded chunks, named errors."""

from __future__ import annotations

import errno
import resource
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert import stream
from convert.errors import (
    DiskFullError,
    InterruptedRunError,
    NonFiniteWeightError,
    TruncatedFileError,
    UnsupportedEncodingError,
)
from convert.hashing import hash_file
from convert.sources.downloads import ArrivingWeight, Downloads
from convert.stream import source_bytes, write_layouts
from convert.weights import ArrayWeight, FileWeight, FloatType
from passes.encodings import ENCODINGS, encoding
from passes.encodings.fp8 import Fp8Tensor
from targets.base import Layout, OutputFile, Placement, WriteJob


class CountingWeight(ArrayWeight):
    """Remembers which rows were read."""

    reads: list[tuple[int, int]]

    def read_rows(self, start, stop):
        self.__dict__.setdefault("reads", []).append((start, stop))
        return super().read_rows(start, stop)


def random_weight(rows, columns, name="w", kind=ArrayWeight):
    rng = np.random.default_rng(rows * 1000 + columns)
    return kind(name, rng.normal(size=(rows, columns)).astype(np.float32))


def one_file_layout(jobs_of, encodings, weight, row_order=None, file="data.bin", gap=64):
    """Every plane of every encoding of one weight behind each other, with gaps."""
    offset, jobs = gap, []
    for name in encodings:
        kind = encoding(name)
        if isinstance(kind, Fp8Tensor):
            kind = kind.bound(4.0)
        placements = []
        for plane in kind.planes(weight.columns):
            placements.append(Placement(file, offset))
            offset += plane.nbytes(weight.rows) + gap
        jobs.append(jobs_of(weight, kind, tuple(placements), row_order))
    return Layout((OutputFile(file, offset, ((0, b"head"),)),), tuple(jobs))


def expected_bytes(layout):
    (file,) = layout.files
    data = bytearray(file.size)
    for offset, segment in file.segments:
        data[offset : offset + len(segment)] = segment
    for job in layout.jobs:
        rows = job.weight.read_rows(0, job.weight.rows)
        rows = rows if job.row_order is None else rows[job.row_order]
        for placement, plane in zip(job.placements, job.encoding.encode(rows), strict=True):
            data[placement.offset : placement.offset + plane.nbytes] = plane.tobytes()
    return bytes(data)


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(1, 70), columns=st.integers(1, 40), chunk=st.integers(1, 3000))
def test_chunks_of_any_size_give_the_bytes_of_the_whole(tmp_path_factory, rows, columns, chunk):
    folder = tmp_path_factory.mktemp("out")
    weight = random_weight(rows, 2 * columns)
    layout = one_file_layout(WriteJob, ["f32", "bf16", "int8", "int8_asym"], weight)
    write_layouts([(folder, layout)], chunk_bytes=chunk)
    assert (folder / "data.bin").read_bytes() == expected_bytes(layout)


def test_a_row_order_within_heads_is_followed_across_chunks(tmp_path):
    weight = random_weight(96, 32)
    order = np.arange(96).reshape(4, 2, 12).transpose(0, 2, 1).reshape(96)
    layout = one_file_layout(WriteJob, ["q8_0", "f16"], weight, row_order=order)
    write_layouts([(tmp_path, layout)], chunk_bytes=24 * 32 * 4)
    assert (tmp_path / "data.bin").read_bytes() == expected_bytes(layout)


def test_a_weight_is_read_once_for_all_artifacts(tmp_path):
    weight = random_weight(64, 64, kind=CountingWeight)
    layouts = [
        (tmp_path / name, one_file_layout(WriteJob, [name], weight)) for name in ("q8_0", "int8")
    ]
    for folder, _ in layouts:
        folder.mkdir()
    write_layouts(layouts)
    assert weight.reads == [(0, 64)]
    assert source_bytes(layouts) == weight.nbytes


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("dtype", [kind.numpy for kind in FloatType], ids=str)
def test_a_weight_that_is_not_finite_is_named_with_its_place(tmp_path, value, name, dtype):
    weight = ArrayWeight("model.bad.weight", random_weight(16, 256).array.astype(dtype))
    weight.array[9, 3] = value
    layout = one_file_layout(WriteJob, [name], weight, row_order=np.arange(16)[::-1])
    with pytest.raises(NonFiniteWeightError, match=r"model\.bad\.weight") as caught:
        write_layouts([(tmp_path, layout)])
    assert "row 9, column 3" in str(caught.value)


def test_a_source_that_shrank_is_named(tmp_path):
    path = tmp_path / "w.bin"
    path.write_bytes(bytes(100))
    weight = FileWeight("w", (64, 8), FloatType.F32, path, 0)
    with pytest.raises(TruncatedFileError, match=r"w\.bin"):
        write_layouts([(tmp_path, one_file_layout(WriteJob, ["f32"], weight))])


def test_a_full_disk_has_its_own_error(tmp_path, monkeypatch):
    def no_room(descriptor, data, offset):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stream.os, "pwrite", no_room)
    with pytest.raises(DiskFullError):
        write_layouts([(tmp_path, one_file_layout(WriteJob, ["f32"], random_weight(8, 8)))])


def test_progress_adds_up_to_the_source(tmp_path):
    weight = random_weight(128, 32)
    layouts = [(tmp_path, one_file_layout(WriteJob, ["bf16"], weight))]
    told = []
    write_layouts(layouts, told.append, chunk_bytes=1024)
    assert len(told) > 1
    assert sum(told) == source_bytes(layouts)


def test_a_weight_that_an_encoding_cannot_hold_is_named(tmp_path):
    weight = random_weight(8, 32, name="model.big.weight")
    weight.array[2, 2] = 1e30
    layout = one_file_layout(WriteJob, ["f16"], weight)
    with pytest.raises(UnsupportedEncodingError, match=r"in tensor 'model\.big\.weight'"):
        write_layouts([(tmp_path, layout)])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same_bytes(tmp_path, threads):
    weight = random_weight(400, 64)
    layout = one_file_layout(WriteJob, ["q4_0", "int4_g32"], weight)
    write_layouts([(tmp_path, layout)], threads=threads, chunk_bytes=4096)
    assert (tmp_path / "data.bin").read_bytes() == expected_bytes(layout)


def test_every_file_comes_with_the_hash_of_what_was_written(tmp_path):
    layout = one_file_layout(WriteJob, ["q4_0", "int4_g32"], random_weight(400, 64))
    whole = OutputFile.whole("config.json", b"{}")
    layout = Layout((*layout.files, whole), layout.jobs)
    written = write_layouts([(tmp_path, layout)], chunk_bytes=4096)[tmp_path]
    assert {name: file.record for name, file in written.items()} == {
        name: hash_file(tmp_path, tmp_path / name) for name in ("data.bin", "config.json")
    }


def test_memory_is_used_again_without_leaving_traces(tmp_path):
    """A thread's buffers hold larger chunks before smaller ones, of several encodings."""
    weights = [random_weight(rows, 64, name=f"w{rows}") for rows in (400, 9, 250, 1)]
    layouts = []
    for number, weight in enumerate(weights):
        layouts.append(
            one_file_layout(WriteJob, ["q8_0", "f16", "int8_asym"], weight, file=f"{number}.bin")
        )
    for layout in layouts:
        write_layouts([(tmp_path, layout)], threads=1, chunk_bytes=16384)
        assert (tmp_path / layout.files[0].path).read_bytes() == expected_bytes(layout)
    together = Layout(
        tuple(file for layout in layouts for file in layout.files),
        tuple(job for layout in layouts for job in layout.jobs),
    )
    (tmp_path / "again").mkdir()
    write_layouts([(tmp_path / "again", together)], threads=1, chunk_bytes=16384)
    for layout in layouts:
        assert (tmp_path / "again" / layout.files[0].path).read_bytes() == expected_bytes(layout)


def test_a_weight_is_written_while_another_is_on_its_way(tmp_path):
    """The second file comes only once the first weight has gone through."""
    written, path = Event(), tmp_path / "second"

    def fetch(path, advance):
        assert written.wait(30)
        path.write_bytes(np.ones(64, "f4").tobytes())

    late = ArrivingWeight("late", (2, 32), FloatType.F32, path, 0, Downloads({path: 256}, fetch))
    layouts = [
        (tmp_path / "late", one_file_layout(WriteJob, ["q8_0"], late)),
        (tmp_path / "soon", one_file_layout(WriteJob, ["q8_0"], random_weight(2, 32))),
    ]
    write_layouts(layouts, lambda count: written.set(), threads=2)
    for folder, layout in layouts:
        assert (folder / layout.files[0].path).read_bytes() == expected_bytes(layout)


def test_an_error_does_not_wait_for_bytes_that_have_not_come(tmp_path):
    asked, path = Event(), tmp_path / "never"

    def fetch(path, advance):
        asked.set()
        assert given_up.wait(30)

    class BrokenWeight(ArrayWeight):
        def read_rows(self, start, stop):
            assert asked.wait(30)
            raise TruncatedFileError("broken")

    given_up = Event()
    downloads = Downloads({path: 256}, fetch)
    late = ArrivingWeight("late", (2, 32), FloatType.F32, path, 0, downloads)
    broken = random_weight(2, 32, kind=BrokenWeight)
    layouts = [
        (tmp_path / "late", one_file_layout(WriteJob, ["q8_0"], late)),
        (tmp_path / "broken", one_file_layout(WriteJob, ["q8_0"], broken)),
    ]

    def abandon():
        assert not given_up.is_set()
        downloads._give_up(InterruptedRunError("enough"))

    with pytest.raises(TruncatedFileError, match="broken"):
        write_layouts(layouts, threads=2, abandon=abandon)
    given_up.set()


def test_more_files_than_may_be_open_are_written(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len([*Path("/proc/self/fd").iterdir()])
    layouts = [
        one_file_layout(
            WriteJob, ["bf16"], random_weight(8, 8, name=f"w{number}"), file=f"{number}"
        )
        for number in range(100)
    ]
    files = tuple(file for layout in layouts for file in layout.files)
    jobs = tuple(job for layout in layouts for job in layout.jobs)
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 20, hard))
    try:
        write_layouts([(tmp_path, Layout(files, jobs))])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for layout in layouts:
        assert (tmp_path / layout.files[0].path).read_bytes() == expected_bytes(layout)
