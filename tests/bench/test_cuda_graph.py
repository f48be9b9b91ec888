"""All but the capture itself, which needs a card."""

import pytest
import torch

from bench import cuda_graph
from bench.cuda_graph import contest, decode, load
from convert.errors import UsageError
from targets.gaudi.run import GaudiRunner
from tests.support.programs import with_programs

PROMPT, COUNT, CONTEXT = [5, 6, 7], 9, 16


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return with_programs("yuan", tmp_path_factory.mktemp("artifact"), context=CONTEXT, buckets=())


def test_a_step_that_feeds_itself_chooses_the_tokens_of_the_runner(artifact):
    with GaudiRunner(artifact, threads=1) as runner:
        expected = runner.generate(PROMPT, COUNT, frozenset())
    feeding = load(artifact, "cpu")
    with torch.inference_mode():
        for _ in range(2):  # nothing is left of an earlier sequence
            assert decode(feeding, feeding, PROMPT, COUNT) == expected


def test_a_sequence_longer_than_the_caches_is_refused(artifact):
    feeding = load(artifact, "cpu")
    with pytest.raises(UsageError, match="16 tokens"):
        decode(feeding, feeding, PROMPT, CONTEXT)


def test_other_tokens_fail(artifact, capsys):
    feeding = load(artifact, "cpu")

    def wrong():
        feeding()
        feeding.ids.fill_(1)

    assert contest({"one": (feeding, feeding), "two": (feeding, feeding)}, PROMPT, COUNT) == 0
    assert contest({"one": (feeding, feeding), "two": (feeding, wrong)}, PROMPT, COUNT) == 1
    assert "other tokens from 0 on" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card to capture on")
def test_without_a_card_it_says_that_nothing_was_captured(artifact, capsys):
    asked = [str(artifact), "--prompt", "5", "--tokens", "4"]
    assert cuda_graph.main(asked) == UsageError.exit_code
    assert "nothing was captured" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_captured_step_replays_the_same_tokens(artifact):
    assert cuda_graph.main([str(artifact), "--prompt", "5", "--tokens", str(COUNT)]) == 0
