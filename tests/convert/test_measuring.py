"""What was measured is kept, found again, and made anew where it would differ or is broken."""

import dataclasses

import numpy as np
import pytest

from convert.measuring import load, measured_name, save
from passes.calibration.observers import InputRange
from passes.smoothing.measuring import Measured, Smoothed

DIVISORS = np.exp2(np.linspace(-9, 9, 7)).astype(np.float32)
MEASURED = Measured(
    plain={"a.weight": InputRange(-0.1, 1 / 3), "b.weight": InputRange(0.0, 7.5)},
    errors={"a.weight": 1 / 7, "b.weight": 0.0},
    smoothed={"a.weight": Smoothed(0.7, DIVISORS, InputRange(-1.25, 0.3), 0.001, ("a.weight",))},
    text_sha256="ab" * 32,
    tokens=2048,
)


def test_all_figures_come_back_exactly(tmp_path):
    path = tmp_path / "out" / "inputs-1.safetensors"
    save(path, MEASURED)
    found = load(path)
    np.testing.assert_array_equal(found.smoothed["a.weight"].divisors, DIVISORS)
    same = dataclasses.replace(found.smoothed["a.weight"], divisors=DIVISORS)
    assert same == MEASURED.smoothed["a.weight"]
    assert found.plain == MEASURED.plain
    assert found.errors == MEASURED.errors
    assert (found.text_sha256, found.tokens) == ("ab" * 32, 2048)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "none"])
def test_a_file_that_is_not_whole_counts_as_none(damage, tmp_path):
    path = tmp_path / "inputs.safetensors"
    if damage != "none":
        save(path, MEASURED)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other":
        from safetensors.numpy import save_file

        save_file({"a.weight": DIVISORS}, path, {"figures": '{"plain": 3}'})
    assert load(path) is None


def test_two_runs_leave_the_same_bytes(tmp_path):
    save(tmp_path / "1", MEASURED)
    save(tmp_path / "2", MEASURED)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_names_differ_by_checkpoint_text_and_alphas(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("words")
    names = {
        measured_name("aa", None, (0.5,)),
        measured_name("bb", None, (0.5,)),
        measured_name("aa", text, (0.5,)),
        measured_name("aa", None, (0.5, 0.6)),
        measured_name("aa", None, ()),
    }
    assert len(names) == 5
    assert measured_name("aa", None, (0.5,)) in names
