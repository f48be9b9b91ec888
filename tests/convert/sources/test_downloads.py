from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from convert.errors import DiskFullError, InterruptedRunError
from convert.sources import downloads as downloads_module
from convert.sources.downloads import ArrivingWeight, Downloads
from convert.weights import FileWeight, FloatType

FIRST, SECOND, THIRD = Path("1"), Path("2"), Path("3")
SIZES = {FIRST: 1, SECOND: 20, THIRD: 300}
PATIENCE = 30.0


class Server:
    """Gives each file as soon as it is allowed to, and remembers the order."""

    def __init__(self):
        self.begun, self.errors = [], {}
        self.allowed = {path: Event() for path in SIZES}
        self.asked = {path: Event() for path in SIZES}

    def fetch(self, path, advance):
        self.begun.append(path)
        self.asked[path].set()
        assert self.allowed[path].wait(PATIENCE)
        if path in self.errors:
            raise self.errors[path]
        advance(SIZES[path])


@pytest.fixture
def server():
    server = Server()
    yield server
    for allowed in server.allowed.values():
        allowed.set()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def allow(server, *paths):
    for path in paths:
        server.allowed[path].set()


def test_a_file_is_there_while_the_next_is_on_its_way(server):
    files = Downloads(SIZES, server.fetch)
    allow(server, FIRST)
    files.wait(FIRST)
    assert server.asked[SECOND].wait(PATIENCE)
    assert not server.allowed[SECOND].is_set()
    assert files.bytes_done == 1
    allow(server, SECOND, THIRD)
    files.wait(THIRD)
    assert server.begun == [FIRST, SECOND, THIRD]
    assert files.bytes_done == files.bytes_total == 321


def test_nothing_is_fetched_until_something_is_waited_for(server):
    files = Downloads(SIZES, server.fetch)
    files.wait(Path("another file"))
    files.close()
    assert server.begun == []


def test_what_is_waited_for_goes_before_what_is_not(server, pool):
    files = Downloads(SIZES, server.fetch)
    first = pool.submit(files.wait, FIRST)
    assert server.asked[FIRST].wait(PATIENCE)
    files._ask_for(THIRD)
    allow(server, *SIZES)
    first.result(PATIENCE)
    assert server.asked[SECOND].wait(PATIENCE)
    assert server.begun == [FIRST, THIRD, SECOND]


def test_one_error_ends_the_downloads_for_everyone_but_not_what_is_there(server, pool):
    server.errors[SECOND] = DiskFullError("no room")
    files = Downloads(SIZES, server.fetch)
    allow(server, FIRST)
    files.wait(FIRST)
    assert server.asked[SECOND].wait(PATIENCE)
    waits = [pool.submit(files.wait, path) for path in (SECOND, THIRD)]
    allow(server, SECOND)
    for wait in waits:
        assert wait.exception(PATIENCE) is server.errors[SECOND]
    with pytest.raises(DiskFullError):
        files.wait(THIRD)
    files.wait(FIRST)
    assert server.begun == [FIRST, SECOND]


def test_closing_frees_who_waits_though_the_file_does_not_come(server, pool, monkeypatch):
    monkeypatch.setattr(downloads_module, "_SECONDS_TO_CLEAN_UP", 0.01)
    files = Downloads(SIZES, server.fetch)
    waits = [pool.submit(files.wait, FIRST)]
    assert server.asked[FIRST].wait(PATIENCE)
    waits.append(pool.submit(files.wait, SECOND))
    files.close()
    for wait in waits:
        assert isinstance(wait.exception(PATIENCE), InterruptedRunError)


def test_closing_breaks_off_the_file_that_is_on_its_way(server, monkeypatch):
    monkeypatch.setattr(downloads_module, "_SECONDS_TO_CLEAN_UP", PATIENCE)
    ended = []

    def fetch(path, advance):
        server.asked[path].set()
        try:
            while True:
                advance(1)
        finally:
            ended.append(path)

    files = Downloads(SIZES, fetch)
    with ThreadPoolExecutor(1) as pool:
        wait = pool.submit(files.wait, SECOND)
        assert server.asked[SECOND].wait(PATIENCE)
        files.close()
        assert isinstance(wait.exception(PATIENCE), InterruptedRunError)
    assert ended == [SECOND]
    with pytest.raises(InterruptedRunError):
        files.wait(FIRST)
    assert ended == [SECOND]


def test_closing_twice_and_when_all_is_there(server):
    files = Downloads({FIRST: 1}, server.fetch)
    allow(server, FIRST)
    files.wait(FIRST)
    files.close()
    files.close()
    files.wait(FIRST)


def test_a_weight_waits_for_its_file(tmp_path):
    path = tmp_path / "m.safetensors"
    values = np.arange(6, dtype="f4").reshape(3, 2)

    def fetch(path, advance):
        path.write_bytes(b"head" + values.tobytes())

    weight = ArrivingWeight("a", (3, 2), FloatType.F32, path, 4, Downloads({path: 28}, fetch))
    assert not path.exists()
    np.testing.assert_array_equal(weight.read_rows(1, 3), values[1:])


def test_a_weight_waits_when_it_is_read_into_a_buffer(tmp_path):
    path = tmp_path / "m.safetensors"
    downloads = Downloads({path: 4}, lambda path, advance: path.write_bytes(b"\0\0\x80\x3f"))
    weight = ArrivingWeight("a", (1,), FloatType.F32, path, 0, downloads)
    np.testing.assert_array_equal(weight.read_rows_into(0, 1, np.empty(4, np.uint8)), [[1.0]])


def test_a_weight_goes_to_another_process_once_its_file_is_there(tmp_path):
    path = tmp_path / "weights"

    def fetch(path, advance):
        path.write_bytes(np.arange(6, dtype=np.float32).tobytes())

    weight = ArrivingWeight("a", (3, 2), FloatType.F32, path, 0, Downloads({path: 24}, fetch))
    there = pickle.loads(pickle.dumps(weight))
    assert there == FileWeight("a", (3, 2), FloatType.F32, path, 0)
    assert np.array_equal(there.read_rows(1, 3), [[2, 3], [4, 5]])


def test_a_weight_whose_file_does_not_come_goes_nowhere(tmp_path):
    def fetch(path, advance):
        raise DiskFullError("no room")

    downloads = Downloads({tmp_path / "weights": 24}, fetch)
    with pytest.raises(DiskFullError, match="no room"):
        pickle.dumps(ArrivingWeight("a", (3, 2), FloatType.F32, tmp_path / "weights", 0, downloads))
