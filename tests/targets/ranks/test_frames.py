"""Messages arrive as they were sent, or not at all."""

from __future__ import annotations

import os
import threading

import pytest

from targets.ranks.frames import receive, send


@pytest.fixture
def ends():
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_header_and_payload(ends):
    read, write = ends
    send(write, {"feed": [1, 2]}, b"a\nb")
    send(write, {})
    assert receive(read) == ({"feed": [1, 2], "bytes": 3}, b"a\nb")
    assert receive(read) == ({"bytes": 0}, b"")


def test_more_than_a_pipe_holds(ends):
    read, write = ends
    payload = bytes(range(256)) * 20_000
    thread = threading.Thread(target=send, args=(write, {}, payload))
    thread.start()
    assert receive(read)[1] == payload
    thread.join()


@pytest.mark.parametrize("sent", [b"", b'{"by', b'{"bytes": 5}\nabc'])
def test_an_end_within_a_message(ends, sent):
    read, write = ends
    os.write(write, sent)
    os.close(write)
    assert receive(read) is None


def test_nobody_listens(ends):
    read, write = ends
    os.close(read)
    with pytest.raises(BrokenPipeError):
        send(write, {})
