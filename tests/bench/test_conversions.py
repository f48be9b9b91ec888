from __future__ import annotations

from pathlib import Path

import pytest

from bench.contest import Result
from bench.conversions import NEW, TOGETHER, own, rivals, together_line
from bench.measure import Usage
from bench.synthetic import SHAPES, build


def usage(wall, cpu):
    return Usage(wall, cpu, 0.0, 0)


def test_every_conversion_is_without_gate_and_removes_its_output():
    contestants = own(Path("model"), Path("out"))
    assert contestants[0].commands[0][0] == "cp"
    assert all("--no-gate" in contestant.commands[-1] for contestant in contestants[1:])
    assert all(contestant.makes == (Path("out"),) for contestant in contestants)
    together = next(one for one in contestants if one.work == " + ".join(TOGETHER))
    assert sum(word == "--to" for word in together.commands[0]) == 3


def test_a_checkpoint_not_seen_before_is_one_whose_hash_is_forgotten():
    new = [one for one in own(Path("model"), Path("bench/out")) if NEW in one.work]
    assert new
    for one in new:
        assert one.environment == {"XDG_CACHE_HOME": "bench/cache"}
        assert one.commands[0] == ["rm", "-f", Path("bench/cache/tricast/hashes.json")]


@pytest.mark.slow
def test_a_conversion_runs(tmp_path):
    checkpoint = build(SHAPES["tiny"], tmp_path / "model")
    contestant = next(one for one in own(checkpoint, tmp_path / "out") if one.work == "gguf:bf16")
    assert contestant.run().peak > 0
    assert not (tmp_path / "out").exists()


def test_peers_that_are_not_installed_are_left_out(tmp_path):
    assert rivals(Path("model"), Path("out"), tmp_path, 2) == []


def test_llama_cpp_quantizes_what_it_converted(tmp_path):
    for program in ("venv/bin/python", "build/bin/llama-quantize"):
        path = tmp_path / "llama.cpp" / program
        path.parent.mkdir(parents=True)
        path.touch()
    q4_0 = next(one for one in rivals(Path("m"), Path("out"), tmp_path, 2) if "q4" in one.work)
    converted, quantized = q4_0.commands
    assert converted[converted.index("--outfile") + 1] == quantized[1]
    assert set(quantized[1:3]) == set(q4_0.makes)


def test_one_run_is_held_against_three():
    alone = [Result(work, "Tricast", usage(4.0, 6.0)) for work in TOGETHER]
    both = [*alone, Result(" + ".join(TOGETHER), "Tricast", usage(6.0, 12.0))]
    assert "0.50 of the wall time" in together_line(both)
    assert "0.67 of their processor time" in together_line(both)
    assert together_line(alone) == ""
