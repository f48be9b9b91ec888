"""What the gate saw: every position, the tokens that differ, the time of a token."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models

from golden import details as module
from golden.details import DecodeClock, Details, Words, details
from golden.format import Golden, Header, ModelIdentity
from golden.metrics import compare_logits
from targets.runner import Runner

EURO = "€".encode()


def tokenizer_json():
    """A vocabulary of letters, and of the bytes of a sign that no token holds whole."""
    letters = {letter: number for number, letter in enumerate("abcd ")}
    parts = {f"<0x{byte:02X}>": 5 + number for number, byte in enumerate(EURO)}
    tokenizer = Tokenizer(models.BPE(vocab={**letters, **parts}, merges=[], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer.to_str()


class Counting(Runner):
    """Gives logits that are its inputs."""

    def reset(self):
        pass

    def feed(self, ids):
        return np.zeros((len(ids), 8), np.float32)


def golden_of(prompts, *, continuation=None, words=True):
    header = Header(
        model=ModelIdentity("m", "", "", 8),
        versions={},
        prompts_sha256="",
        sample_ids=(0, 4),
        stop_ids=(),
        continuation=continuation,
        tokenizer_json=tokenizer_json() if words else None,
    )
    return Golden(None, header, prompts)


def figures_of(prompts, spoil=()):
    """An artifact that agrees everywhere but at ``spoil``: pairs of a prompt and a position."""
    found = []
    for number, ids in enumerate(prompts):
        original = np.zeros((len(ids), 8), np.float32)
        original[:, 1] = 3
        artifact = original.copy()
        for at in (at for which, at in spoil if which == number):
            artifact[at, 2] = 3 + at
        found.append(compare_logits(original, artifact, ids))
    return found


def gathered(prompts, spoil=(), sample=(0, 4), **golden):
    figures = figures_of(prompts, spoil)
    clock = DecodeClock(Counting())
    return details(golden_of(prompts, **golden), figures, clock, sample_ids=sample, threads=3)


def test_each_position_is_told_with_its_text():
    found = gathered([(0, 1, 2), (5, 6, 7, 3)], spoil=[(0, 1)])
    assert found.prompts[0].pieces == ("a", "b", "c")
    assert found.prompts[1].pieces == ("", "", "€", "d")
    assert found.prompts[0].agrees == (True, False, True)
    assert found.prompts[0].kld[0] == 0 < found.prompts[0].kld[1]
    assert found.threads == 3


def test_only_the_prompts_that_differ_most_are_told_word_by_word(monkeypatch):
    monkeypatch.setattr(module, "SHOWN_PROMPTS", 1)
    found = gathered([(0, 1, 2), (0, 1, 2), (0, 1)], spoil=[(1, 1)])
    assert [one.pieces is not None for one in found.prompts] == [False, True, False]


def test_departures_begin_with_the_largest():
    found = gathered([(0, 1, 2), (3, 0, 1, 2)], spoil=[(0, 1), (1, 3)])
    places = [(one.prompt, one.position) for one in found.departures]
    assert places == [(1, 3), (0, 1)]
    first = found.departures[0]
    assert (first.before, first.original, first.artifact) == ("dabc", "b", "c")
    share = np.exp(3) / (np.exp(3) + 7)
    assert first.original_share == pytest.approx(share, rel=0.01)
    kept = np.exp(3) / (np.exp(3) + np.exp(6) + 6)
    assert first.kept_share == pytest.approx(kept, rel=0.01)
    assert first.artifact_share == pytest.approx(kept * np.exp(3), rel=0.01)


def test_where_logits_are_not_finite_nothing_is_said():
    figures = figures_of([(0, 1, 2)])
    bad = np.zeros((3, 8), np.float32)
    bad[1] = np.nan
    figures = [compare_logits(np.eye(3, 8, dtype=np.float32), bad, (0, 1, 2))]
    golden = golden_of([(0, 1, 2)])
    found = details(golden, figures, DecodeClock(Counting()), sample_ids=(), threads=1)
    assert found.prompts[0].kld[1] is None
    assert 1 not in {one.position for one in found.departures}
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("golden", "sample", "expected"),
    [
        ({"continuation": (4, 1)}, (0, 4), " b"),
        ({"continuation": ()}, (0, 4), ""),
        ({"continuation": (4, 1)}, (0,), None),
        ({}, (0, 4), None),
        ({"continuation": (4, 1), "words": False}, (0, 4), " 4 1"),
    ],
)
def test_the_original_continues_what_the_artifact_continued(golden, sample, expected):
    assert gathered([(0, 1)], sample=sample, **golden).continuation == expected


def test_tokens_have_numbers_where_there_is_no_tokenizer():
    found = gathered([(0, 1, 2)], spoil=[(0, 2)], words=False)
    assert found.prompts[0].pieces is None
    assert not Words(None).known
    assert (found.departures[0].before, found.departures[0].artifact) == ("0 1 2", " 2")


def test_json_and_back():
    found = gathered([(0, 1, 2), (5, 6, 7)], spoil=[(0, 1)], continuation=(1,))
    assert Details.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_the_clock_counts_single_tokens_whoever_feeds_them():
    runner = Counting()
    clock = DecodeClock(runner)
    runner.logits([1, 2, 3, 4, 5], 2)
    assert len(clock.milliseconds) == 3
    runner.generate([1, 2], 4, frozenset())
    assert len(clock.milliseconds) == 7
    found = details(golden_of([(0,)]), figures_of([(0,)]), clock, sample_ids=(), threads=1)
    assert found.decode_tokens == 7
    assert found.decode_ms > 0
    idle = gathered([(0, 1)])
    assert (idle.decode_ms, idle.decode_tokens) == (None, 0)


def test_details_are_no_part_of_the_verdict():
    from tests.golden.test_result import result

    plain = result()
    told = dataclasses.replace(plain, details=gathered([(0, 1)]))
    assert told.to_json() == plain.to_json()
