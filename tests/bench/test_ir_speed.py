from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import ir_speed
from bench.ir_speed import Contender, Times


class Ir:
    """An IR that takes turns and notes them; its times are given."""

    def __init__(self, name, times, turns):
        self.name, self.times, self.turns = name, iter(times), turns

    def run(self, prompt, decoded):
        self.turns.append((self.name, prompt.tolist(), decoded.tolist()))
        return next(self.times)


@pytest.fixture
def round_of_two():
    turns = []
    irs = {
        "ours": Ir("ours", [Times(9, 9), Times(2, 1), Times(1, 1)], turns),
        "peer": Ir("peer", [Times(9, 9), Times(4, 3), Times(3, 1)], turns),
    }
    return ir_speed.hold(irs, prompt=3, decoded=2, rounds=2, vocab=7), turns


def test_a_contender_has_a_name_a_folder_and_options():
    assert Contender.parse("ours=out/a,A=1,B=f32") == Contender(
        "ours", Path("out/a"), {"A": "1", "B": "f32"}
    )


@pytest.mark.parametrize("text", ["out/a", "=out", "ours=", "ours=out,A", "ours=out,", ""])
def test_a_contender_without_its_parts_is_refused(text):
    with pytest.raises(ValueError, match="NAME=FOLDER"):
        Contender.parse(text)


def test_all_get_the_same_tokens_and_the_first_turn_in_turn(round_of_two):
    _, turns = round_of_two
    assert [name for name, _, _ in turns] == ["ours", "peer", "peer", "ours", "ours", "peer"]
    for one, other in zip(turns[::2], turns[1::2], strict=True):
        assert one[1:] == other[1:]
    assert all(len(prompt) == 3 and len(decoded) == 2 for _, prompt, decoded in turns)


def test_the_first_round_is_left_out(round_of_two):
    measured, _ = round_of_two
    assert measured == {"ours": [Times(2, 1), Times(1, 1)], "peer": [Times(4, 3), Times(3, 1)]}


def test_ratios_are_taken_within_a_round(round_of_two):
    measured, _ = round_of_two
    table = ir_speed.table(measured, prompt=3)
    assert "| ours | 2.0 | 1.00 | 1.00 | 1.00 |" in table
    # Prefill: 4/2 and 3/1; decode: 3/1 and 1/1.
    assert "| peer | 0.9 | 0.50 | 2.50 | 2.00 |" in table


def test_an_ir_is_timed_and_its_operators_are_counted(tmp_path):
    import openvino
    from openvino import opset13 as ops

    ids = ops.parameter([-1, -1], np.int64, name="input_ids")
    ids.output(0).get_tensor().set_names({"input_ids"})
    logits = ops.one_hot(ids, np.int64(5), np.float32(1), np.float32(0), -1)
    logits.output(0).get_tensor().set_names({"logits"})
    openvino.save_model(openvino.Model([logits], [ids], "m"), tmp_path / "openvino_model.xml")
    ir = ir_speed.CompiledIr(Contender("ours", tmp_path, {}))
    times = ir.run(np.array([1, 2, 3]), np.array([4, 0]))
    assert times.prefill > 0
    assert times.decode > 0
    assert ir.kinds()["OneHot"] == 1
