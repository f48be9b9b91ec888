"""Cases that a reader did not cope with once, and a few new ones: see run.py for many."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from convert.errors import BrokenInputError, TricastError
from tests.fuzz.cases import packed, unpacked
from tests.fuzz.searching import CORPUS, kept_cases, mutants, searched
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, FaultyError, attempt
from tests.fuzz.trial import tried

NEW_CASES = {"checkpoint": 40, "pickle": 20, "recipe": 15, "manifest": 20, "gguf": 10}
ROOT = Path(__file__).resolve().parents[2]
_MOST_BYTES = 300 << 10


@pytest.mark.parametrize("target", TARGETS)
def test_readers_cope_with_what_they_did_not_once(target):
    findings = {name: tried(target, case) for name, case in kept_cases(target).items()}
    assert {name: found.text for name, found in findings.items() if found is not None} == {}


@pytest.mark.parametrize("target", TARGETS)
def test_readers_cope_with_a_few_new_cases(target):
    for case in islice(mutants(target, seed=1), NEW_CASES[target]):
        finding = tried(target, case)
        assert finding is None, finding.text


@pytest.mark.parametrize("target", TARGETS)
def test_cases_are_the_same_for_the_same_seed(target):
    once, again, other = (
        [packed(case) for case in islice(mutants(target, seed), 5)] for seed in (1, 1, 2)
    )
    assert once == again != other


def test_the_corpus_is_small():
    assert sum(path.stat().st_size for path in CORPUS.rglob("*.zip")) < _MOST_BYTES


def test_a_case_survives_packing():
    case = seeds("checkpoint")[0]
    assert unpacked(packed(case)) == case


def _fails_with(monkeypatch, function) -> None:
    monkeypatch.setitem(TARGETS, "recipe", lambda folder: function())


def test_a_fault_is_found_and_told_of_once(monkeypatch, tmp_path):
    def fault():
        raise KeyError("a")

    _fails_with(monkeypatch, fault)
    told = []
    count = searched("recipe", 0, 0.3, tmp_path / "current", lambda *given: told.append(given))
    assert count > 1
    ((finding, case),) = told
    assert finding.place.startswith("KeyError in ")
    assert finding.file_name.endswith(".zip")
    assert case
    assert (tmp_path / "current").is_file()


_TRY_AN_ENDLESS_CASE = """
from tests.fuzz import trial

def endless(folder):
    while True:
        pass

trial.SECONDS = 0.05
trial.TARGETS["recipe"] = endless
print(trial.tried("recipe", {}).place)
"""


def test_what_takes_too_long_is_found():
    """In a process of its own, as in run.py: where every library is loaded, the timer's signal
    has ended the process with a fault (SIGSEGV) instead of reaching Python."""
    child = [sys.executable, "-c", _TRY_AN_ENDLESS_CASE]
    assert "TooSlowError" in subprocess.check_output(child, cwd=ROOT, text=True, timeout=60)


class OddError(TricastError):
    """No error of an input."""

    exit_code = 1


def _raising(error: BaseException):
    def function() -> None:
        raise error

    return function


def test_only_errors_of_inputs_are_allowed():
    assert attempt(_raising(BrokenInputError("damaged"))) is None
    assert attempt(_raising(FileNotFoundError(2, "none", "a"))) is None
    for error, kind in ((OddError("odd"), FaultyError), (BrokenInputError(" "), FaultyError)):
        with pytest.raises(kind):
            attempt(_raising(error))
    for fault in (MemoryError(), OSError("?")):
        with pytest.raises(type(fault)):
            attempt(_raising(fault))


def test_no_case_is_outside_the_corpus_of_a_target():
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)
    assert all(Path(path).suffix == ".zip" for path in CORPUS.rglob("*") if path.is_file())
