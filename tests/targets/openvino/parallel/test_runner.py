"""Processes compute together what one computes; when one fails, all end and the error says why."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from convert.errors import RunnerCrashedError
from targets.openvino.parallel.runner import OpenVinoRanksRunner
from targets.openvino.run import EXACT, OpenVinoRunner
from targets.openvino.target import OpenVinoTarget
from tests.support.batches import require_batches
from tests.support.models import random_ids, small_model
from tests.support.ort import relative_error
from tests.support.rank_artifacts import make_pair

TOLERANCE = 1e-5
"""Largest difference, in standard deviations of the logits."""


@pytest.fixture(scope="module")
def runner(pair):
    with OpenVinoRanksRunner(pair.cut, threads=2, overrides=EXACT) as runner:
        yield runner


def test_logits_are_those_of_one_process(pair, runner):
    ids = random_ids(1, 9, pair.model.config.vocab)[0].tolist()
    alone = OpenVinoRunner(pair.whole, threads=2, overrides=EXACT)
    expected = alone.logits(ids, 5)
    assert relative_error(runner.logits(ids, 5), expected) < TOLERANCE
    assert relative_error(runner.logits(ids, 1), expected) < TOLERANCE
    assert runner.generate(ids, 16, frozenset()) == alone.generate(ids, 16, frozenset())


def test_ranks_compute_batches_too(pair, runner):
    require_batches(runner, pair.model, tolerance=1e-4)
    runner.reset()
    assert runner.feed([1, 2]).shape == (2, pair.model.config.vocab)


def test_without_a_tokenizer_there_is_no_text(runner):
    assert runner.tokenize("text") is None


def processes_of(runner):
    return [process.pid for process in runner._ranks]


def are_gone(pids):
    """Whether no process is left; they were children, and have been waited for."""
    for pid in pids:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        return False
    return True


def test_a_rank_that_dies_ends_all(pair):
    runner = OpenVinoRanksRunner(pair.cut, threads=2)
    pids, begun = processes_of(runner), time.monotonic()
    runner.feed([1, 2, 3])
    os.kill(pids[1], signal.SIGKILL)
    with pytest.raises(RunnerCrashedError, match="rank 1 of 2 died"):
        for _ in range(3):
            runner.feed([4])
    assert time.monotonic() - begun < 60
    assert are_gone(pids)
    with pytest.raises(RunnerCrashedError, match="have ended"):
        runner.feed([5])


def test_a_rank_whose_files_are_damaged_is_named(pair, tmp_path):
    damaged = shutil.copytree(pair.cut, tmp_path / "damaged")
    (damaged / "rank-1" / "openvino_model.xml").write_text("<net/>")
    with pytest.raises(RunnerCrashedError, match="rank 1 of 2: OpenVINO refuses"):
        OpenVinoTarget().runner(damaged, threads=2)


def test_closing_ends_the_processes(pair):
    runner = OpenVinoTarget().runner(pair.cut, threads=2)
    assert isinstance(runner, OpenVinoRanksRunner)
    logits = runner.feed([1, 2])
    assert logits.shape == (2, pair.model.config.vocab)
    assert np.isfinite(logits).all()
    pids = processes_of(runner)
    runner.close()
    assert are_gone(pids)


def test_four_ranks_of_yuan_in_nf4_are_one_model(tmp_path):
    """Every block of weights and every scale of scales is the one that the whole model has."""
    sizes = {"hidden_size": 512, "intermediate_size": 512, "num_hidden_layers": 1}
    model = small_model("yuan", num_attention_heads=4, num_key_value_heads=4, **sizes)
    pair = make_pair(model, tmp_path, 4, "nf4_dq")
    ids = random_ids(1, 9, model.config.vocab)[0].tolist()
    alone = OpenVinoRunner(pair.whole, threads=2, overrides=EXACT)
    with OpenVinoRanksRunner(pair.cut, threads=2, overrides=EXACT) as ranks:
        found = ranks.logits(ids, 5)
        generated = ranks.generate(ids, 64, frozenset())
    assert relative_error(found, alone.logits(ids, 5)) < 1e-4
    assert generated == alone.generate(ids, 64, frozenset())


ORPHANED = """
import os, signal, sys
from pathlib import Path
from targets.openvino.parallel.runner import OpenVinoRanksRunner

runner = OpenVinoRanksRunner(Path(sys.argv[1]), threads=2)
print(*(process.pid for process in runner._ranks), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_ranks_do_not_outlive_their_parent(pair):
    ended = subprocess.run(
        [sys.executable, "-c", ORPHANED, str(pair.cut)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while not all(map(is_over, map(int, ended.stdout.split()))):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_over(pid):
    """Whether a process that is not our child has ended; it may wait for its new parent to look."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"
