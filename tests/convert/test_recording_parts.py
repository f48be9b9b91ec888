"""The original recorded by workers: the same bytes, and no part twice."""

from __future__ import annotations

import pytest

from convert import recording_parts
from convert.checkpoint import open_checkpoint
from convert.errors import OutOfMemoryError
from convert.inputs import describe_source
from convert.progress import Silent
from convert.recording import find_or_record
from convert.recording_parts import PartRecording, parts_for, record_parts
from convert.workers import THIS_PROCESS
from golden import memory
from golden.parts import Part
from tests.support.recorders import record_here
from tests.support.runs import PROMPTS, TINY_LLAMA
from tests.support.workers import Elsewhere

TEXTS = "\n---\n".join(f"Once upon a time {each}" for each in "abcdef")


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text(TEXTS)
    return path


@pytest.fixture
def find(prompts, monkeypatch):
    record_here(monkeypatch)
    checkpoint = open_checkpoint(str(TINY_LLAMA))
    described = describe_source(checkpoint)

    def found(out, workers, **options):
        path = find_or_record(
            *(checkpoint, described, out),
            prompts=prompts, tokenizer=True, threads=1, reporter=Silent(), workers=workers,
            **options,
        )  # fmt: skip
        assert [each.name for each in out.iterdir()] == [path.name]
        return path.read_bytes()

    return found


def test_a_recording_is_the_same_bytes_whoever_makes_it(find, tmp_path):
    workers = Elsewhere(2)
    assert find(tmp_path / "apart", workers) == find(tmp_path / "here", THIS_PROCESS)
    assert sorted(part.number for part in workers.done) == [0, 1]
    assert workers.memory[0] >= memory.OVERHEAD


def test_parts_that_are_there_are_not_recorded_again(find, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        one_at_a_time = Elsewhere(1, fail_after=1)
        find(out, type("Two", (), {"count": 2, "map": one_at_a_time.map}))
    [left] = out.iterdir()
    assert ".part-0-of-2-" in left.name
    again = Elsewhere(2)
    assert find(out, again)
    assert [part.number for part in again.done] == [1]


def test_how_many_parts_there_are(prompts):
    assert parts_for(THIS_PROCESS, prompts) == ()
    assert parts_for(Elsewhere(1), prompts) == ()
    assert parts_for(Elsewhere(2), prompts) == (Part(0, 2), Part(1, 2))
    assert len(parts_for(Elsewhere(64), prompts)) == 3
    assert len(parts_for(Elsewhere(9), None)) == 2


@pytest.fixture
def run(tmp_path):
    return PartRecording(
        TINY_LLAMA, tmp_path / "golden.safetensors", PROMPTS.read_bytes(), 1, "m", "d", (),
        layered=False, arithmetic=recording_parts.arithmetic(),
    )  # fmt: skip


def test_what_a_worker_would_compute_otherwise_is_recorded_here(run, monkeypatch):
    kinds, recorded, said = iter([run.arithmetic, "another"]), [], []
    monkeypatch.setattr(recording_parts, "arithmetic", lambda: next(kinds))
    monkeypatch.setattr(
        recording_parts,
        "record_golden",
        lambda folder, out, **named: recorded.append((out, named["part"])),
    )
    monkeypatch.setattr(recording_parts, "join", lambda parts, out: recorded.append(parts))
    parts = (Part(0, 2), Part(1, 2))
    record_parts(run, parts, Elsewhere(1), said.append)
    assert recorded == [
        *((run.path(part), part) for part in parts),
        [run.path(part) for part in parts],
    ]
    assert len(said) == 1 and "part 1/2 is recorded here" in said[0]


def test_the_name_of_a_part_follows_from_what_decides_its_bytes(run):
    import dataclasses

    others = [{"threads": 2}, {"layered": True}, {"arithmetic": "x"}]
    runs = [run, *(dataclasses.replace(run, **each) for each in others)]
    names = {each.path(Part(*part)) for each in runs for part in ((0, 2), (1, 2), (0, 3))}
    assert len(names) == 12


def test_a_model_that_is_to_be_whole_is_refused_where_it_does_not_fit(run, monkeypatch):
    record_here(monkeypatch)
    monkeypatch.setattr(memory, "available_memory", lambda: memory.OVERHEAD)
    with pytest.raises(OutOfMemoryError):
        run(Part(0, 2))
