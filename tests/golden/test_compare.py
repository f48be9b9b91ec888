"""Comparing with a fake target: passes, and fails by each figure alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

import golden.compare as module
from convert.errors import GateError, GoldenMismatchError
from golden.compare import DECODED_TOKENS, GENERATED_TOKENS, compare, main
from golden.format import read
from golden.record import record
from golden.thresholds import Thresholds, thresholds_for
from tests.golden.fakes import FakeRunner, FakeTarget, scaled

LIMITS = thresholds_for("f32")
LOOSE = Thresholds(mean_kld=1e9, decoded_kld=1e9, top1=0, perplexity_ratio=1e30)


@pytest.fixture(scope="session")
def recording(checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("golden") / "tiny.golden"
    record(checkpoint, path, prompts=["he said the sheep was here", "one two"], digest="d")
    return path


@pytest.fixture
def artifact(checkpoint, monkeypatch):
    """A function that makes the fake artifact the one that gets compared."""

    def make(**bent):
        runner = FakeRunner(checkpoint, **bent)
        monkeypatch.setattr(module, "target", lambda name: FakeTarget(runner))
        return runner

    return make


def judged(recording, checkpoint, limits=LIMITS):
    return compare(checkpoint, "fake", read(recording), limits, threads=1)


def test_the_original_passes(recording, checkpoint, artifact):
    runner = artifact()
    result = judged(recording, checkpoint)
    assert result.passed
    assert result.overall.mean_kld < 1e-9
    assert result.overall.top1 == 1
    assert result.overall.perplexity_ratio == pytest.approx(1, abs=1e-5)
    assert result.overall.positions == sum(len(ids) for ids in read(recording).prompts)
    assert result.decoded.positions == DECODED_TOKENS + len("one two")
    assert (result.tokenizer.differing, result.chat.differing) == (0, 0)
    assert result.tokenizer.checked > 50
    assert result.chat.checked == 6
    # The first prompt: all but the last tokens at once, those one by one.
    first = len(read(recording).prompts[0])
    prefill = first - DECODED_TOKENS
    assert runner.calls[0] == (0, prefill)
    assert runner.calls[1:9] == [(prefill + i, 1) for i in range(DECODED_TOKENS)]


def test_prompts_and_sample_are_cut_to_what_the_artifact_holds(recording, checkpoint, artifact):
    runner = artifact()
    runner.context = 12
    result = judged(recording, checkpoint)
    assert result.passed
    lengths = [min(12, len(ids)) for ids in read(recording).prompts]
    assert result.overall.positions == sum(lengths) < sum(map(len, read(recording).prompts))
    assert max(start + count for start, count in runner.calls) == 12
    sample = result.sample
    assert sample.ids[0] == int(runner.reference.logits(sample.prompt_ids)[-1].argmax())


def test_the_sample_is_greedy_and_decoded(recording, checkpoint, artifact):
    runner = artifact()
    sample = judged(recording, checkpoint).sample
    assert sample.prompt == "he said the sheep was"
    assert len(sample.ids) <= GENERATED_TOKENS
    assert sample.ids[0] == int(runner.reference.logits(sample.prompt_ids)[-1].argmax())
    assert isinstance(sample.text, str)
    assert not sample.text.startswith(sample.prompt)


def only_failure(result):
    assert not result.passed
    assert len(result.failures) == 1
    return result.failures[0]


def test_fails_by_mean_kl_and_says_by_how_much(recording, checkpoint, artifact):
    artifact(bend=scaled(0.9))
    measured = judged(recording, checkpoint, LOOSE).overall.mean_kld
    limits = LOOSE.with_overrides({"mean_kld": measured / 4})
    sentence = only_failure(judged(recording, checkpoint, limits))
    assert sentence == (
        f"mean KL {measured:.4g} is above {measured / 4:.4g} by {measured * 3 / 4:.4g}"
    )


def test_fails_by_top1(recording, checkpoint, artifact):
    artifact(bend=lambda logits, start: np.roll(logits, 1, axis=-1))
    sentence = only_failure(judged(recording, checkpoint, LOOSE.with_overrides({"top1": 0.9})))
    assert sentence.startswith("top-1 agreement 0 is below 0.9 by 0.9")


def test_fails_by_perplexity(recording, checkpoint, artifact):
    artifact(bend=scaled(3))
    sentence = only_failure(
        judged(recording, checkpoint, LOOSE.with_overrides({"perplexity_ratio": 1.01}))
    )
    assert sentence.startswith("perplexity ratio")


def test_fails_by_a_broken_cache_alone(recording, checkpoint, artifact):
    artifact(bend=lambda logits, start: logits if start == 0 else -logits)
    limits = LOOSE.with_overrides({"decoded_kld": 0.05})
    sentence = only_failure(judged(recording, checkpoint, limits))
    assert sentence.startswith("mean KL of the tokens decoded one by one")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["one logit", "all"])
def test_nan_and_infinity_never_pass(recording, checkpoint, artifact, bad, where):
    def bend(logits, start):
        if where == "all":
            logits[:] = bad
        elif start == 0:
            logits[0, 5] = bad
        return logits

    artifact(bend=bend)
    result = judged(recording, checkpoint, LOOSE)
    assert not result.passed
    assert "NaN or infinite" in result.failures[0]
    json.dumps(result.to_json(), allow_nan=False)


def test_fails_by_tokenizer(recording, checkpoint, artifact):
    artifact(text="hello")
    result = judged(recording, checkpoint, LOOSE)
    sentence = only_failure(result)
    assert f"tokenizer differs from the original on {result.tokenizer.differing} of" in sentence
    assert "'hello' should be [" in sentence
    allowed = {"differing_texts": result.tokenizer.differing}
    assert judged(recording, checkpoint, LOOSE.with_overrides(allowed)).passed


def test_fails_by_chat_template(recording, checkpoint, artifact):
    artifact(chat="!")
    sentence = only_failure(judged(recording, checkpoint, LOOSE))
    assert sentence.startswith("the chat template differs from the original on 6 of 6 chats")
    assert judged(recording, checkpoint, LOOSE.with_overrides({"differing_chats": 6})).passed


def test_texts_within_a_known_limit_of_the_runtime_are_left_out_and_counted(
    recording, checkpoint, artifact
):
    artifact()
    whole = judged(recording, checkpoint, LOOSE).tokenizer.checked
    artifact(text="hello", limit="hello")
    parity = judged(recording, checkpoint, LOOSE).tokenizer
    assert parity.differing == 0
    assert 0 < parity.checked < whole
    assert parity.note == f"{whole - parity.checked} texts left out: a limit"


def test_parity_does_not_apply_without_a_tokenizer(recording, checkpoint, artifact):
    artifact(tokenizer=False)
    result = judged(recording, checkpoint)
    assert result.passed
    assert result.tokenizer.checked == result.chat.checked == 0
    assert result.tokenizer.note == "not applicable: the artifact carries no tokenizer"


def test_a_mistake_under_the_loss_of_precision_shows(recording, checkpoint, artifact):
    """Loose thresholds hide a bent artifact; the original with its own weights does not."""
    artifact(bend=scaled(0.5))
    limits = LOOSE.with_overrides({"faithful_kld": 0.02})
    assert judged(recording, checkpoint, limits).passed
    golden = read(recording)
    result = compare(checkpoint, "fake", golden, limits, threads=1, stored=golden)
    assert only_failure(result).startswith("mean KL to the original with the artifact's own")
    assert result.faithful == result.overall


def test_program_refuses_a_stored_recording_of_other_prompts(
    recording, checkpoint, artifact, tmp_path, capsys
):
    artifact()
    record(checkpoint, tmp_path / "other", prompts=["another text"])
    more = ["--stored", str(tmp_path / "other")]
    assert program(recording, checkpoint, tmp_path / "r", LIMITS, *more) == 2
    assert "other prompts" in capsys.readouterr().err


def test_another_vocabulary(recording, checkpoint, artifact):
    artifact(bend=lambda logits, start: logits[:, :-1])
    with pytest.raises(GoldenMismatchError, match="another model"):
        judged(recording, checkpoint)


def test_a_runtime_that_gives_too_few_rows(recording, checkpoint, artifact):
    artifact(bend=lambda logits, start: logits[-1:])
    with pytest.raises(GateError, match="wrong shape"):
        judged(recording, checkpoint)


def program(recording, checkpoint, report, limits, *more):
    arguments = [str(checkpoint), "--target", "fake", "--golden", str(recording)]
    arguments += ["--thresholds", json.dumps(limits.to_mapping()), "--json", str(report)]
    return main([*arguments, "--threads", "1", *more])


def test_program(recording, checkpoint, artifact, tmp_path, capsys):
    artifact()
    assert program(recording, checkpoint, tmp_path / "r", LIMITS) == 0
    assert json.loads((tmp_path / "r").read_text())["result"]["passed"] is True
    assert "top-1 100.00%" in capsys.readouterr().out


def test_program_fails_with_exit_code_3(recording, checkpoint, artifact, tmp_path, capsys):
    artifact(bend=scaled(0.5))
    assert program(recording, checkpoint, tmp_path / "r", LIMITS) == 3
    assert json.loads((tmp_path / "r").read_text())["result"]["passed"] is False
    assert "failed: mean KL" in capsys.readouterr().out


def test_program_refuses_another_checkpoints_recording(
    recording, checkpoint, artifact, tmp_path, capsys
):
    artifact()
    assert program(recording, checkpoint, tmp_path / "r", LIMITS, "--digest", "other") == 2
    error = json.loads((tmp_path / "r").read_text())["error"]
    assert error["class"] == "GoldenMismatchError"


@pytest.mark.parametrize("text", ["{", "[]", '{"mean_kl": 1}'])
def test_program_refuses_bad_thresholds(recording, checkpoint, artifact, tmp_path, text, capsys):
    artifact()
    arguments = [str(checkpoint), "--target", "fake", "--golden", str(recording)]
    assert main([*arguments, "--thresholds", text]) == 2
    assert "threshold" in capsys.readouterr().err
