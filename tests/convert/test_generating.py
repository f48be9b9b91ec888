"""Texts are continued by the artifact's own runtime and tokenizer, alone or in batches."""

from __future__ import annotations

import pytest

from convert import generating
from convert.datasets import Text
from convert.errors import (
    BrokenInputError,
    MissingFileError,
    UnsupportedTokenizerError,
    UsageError,
)
from convert.generating import Generation, generate
from convert.sampling import Sampling
from targets.base import Runner
from tests.convert.test_decoding import Successor
from tests.support.runs import TINY_LLAMA

OPENINGS = ("The river was cold and", "A dog", "Once upon a time there was a small town where")
TEXTS = tuple(Text(opening, f"line {i}") for i, opening in enumerate(OPENINGS, 1))
FORMATS = ("onnx-f32", "openvino-int8", "gguf-q8_0")


def continued(artifact, *texts, start=0, **asked):
    return list(generate(artifact, Generation(texts, **asked), threads=1, start=start))


@pytest.mark.parametrize("name", FORMATS)
def test_a_batch_gives_the_tokens_of_its_texts_alone(converted, name):
    artifact = converted.artifacts[name]
    alone = continued(artifact, *TEXTS, new_tokens=12)
    assert continued(artifact, *TEXTS, new_tokens=12, batch=3) == alone
    assert continued(artifact, *TEXTS, new_tokens=12, batch=2) == alone
    assert continued(artifact, *TEXTS, new_tokens=12, batch=2, start=2) == alone[2:]
    assert [record["index"] for record in alone] == [0, 1, 2]


def test_tokens_are_those_of_transformers(converted):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(TINY_LLAMA, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(TINY_LLAMA)
    artifact = converted.artifacts["onnx-f32"]
    for record, text in zip(
        continued(artifact, *TEXTS, new_tokens=40, batch=3, prompt_tokens=4), OPENINGS, strict=True
    ):
        ids = tokenizer(text, return_tensors="pt")["input_ids"][:, :4]
        whole = model.generate(ids, max_new_tokens=40, do_sample=False, pad_token_id=0)[0].tolist()
        added = whole[ids.shape[1] :]
        stopped = record["finish"] == "stop"
        assert record["prompt_ids"] == ids[0].tolist()
        assert record["new_ids"] == (added[:-1] if stopped else added)
        assert record["prompt"] + record["text"] == tokenizer.decode(
            whole, skip_special_tokens=True
        )


def test_a_text_may_end_or_go_on_beyond_its_end(converted):
    artifact = converted.artifacts["onnx-f32"]
    asked = {"new_tokens": 30, "chat": True}
    (ended,) = continued(artifact, Text("Hello", "x"), **asked)
    (longer,) = continued(artifact, Text("Hello", "x"), stop=False, **asked)
    assert ended["finish"] == "stop"
    assert (longer["finish"], len(longer["new_ids"])) == ("length", 30)
    assert longer["new_ids"][: len(ended["new_ids"])] == ended["new_ids"]


def test_what_is_drawn_depends_on_the_seed_and_not_on_the_batch(converted):
    artifact = converted.artifacts["onnx-f32"]
    asked = {"new_tokens": 12, "stop": False}
    drawn = continued(artifact, *TEXTS, sampling=Sampling(seed=1), **asked)
    assert continued(artifact, *TEXTS, sampling=Sampling(seed=1), batch=3, **asked) == drawn
    assert continued(artifact, *TEXTS, sampling=Sampling(seed=2), **asked) != drawn
    assert continued(artifact, *TEXTS, sampling=Sampling(seed=1), start=1, **asked) == drawn[1:]


class Spelling(Successor):
    """Knows the digits; an empty text has no token."""

    context = 12
    reserved: int | None = None

    def __init__(self, *, words=True, template=True):
        super().__init__()
        self.words, self.template = words, template

    def reserve(self, tokens):
        Spelling.reserved = tokens

    def prompt_ids(self, text, *, rendered=False):
        return [int(digit) for digit in text] if self.words else None

    def detokenize(self, ids):
        return "".join(map(str, ids))

    def chat(self, messages):
        if messages[0]["content"] == "9":
            raise ValueError("no nines")
        return messages[0]["content"] if self.template else None


@pytest.fixture
def spelling(monkeypatch, converted):
    """Lets another runner run the artifact."""

    def use(runner: Runner):
        class Stub:
            def runner(self, artifact, *, threads):
                return runner

        monkeypatch.setattr(generating, "target", lambda name: Stub())
        return converted.artifacts["onnx-f32"]

    return use


def test_texts_are_cut_to_their_first_tokens(spelling):
    (record,) = continued(spelling(Spelling()), Text("123456", "x"), prompt_tokens=2, new_tokens=3)
    assert record == {
        "index": 0,
        "prompt": "12",
        "prompt_ids": [1, 2],
        "new_ids": [3, 4, 5],
        "text": "345",
        "finish": "length",
    }


def test_the_runtime_is_told_how_long_texts_get(spelling):
    continued(spelling(Spelling()), Text("1", "a"), Text("123", "b"), new_tokens=9)
    assert Spelling.reserved == 12


@pytest.mark.parametrize(
    ("runner", "text", "asked", "kind", "words"),
    [
        (Spelling(words=False), "1", {}, UnsupportedTokenizerError, "carries no tokenizer"),
        (Spelling(template=False), "1", {"chat": True}, UnsupportedTokenizerError, "no chat"),
        (Spelling(), "9", {"chat": True}, UnsupportedTokenizerError, "does not take line 7"),
        (Spelling(), "", {}, BrokenInputError, "line 7 is empty"),
        (Spelling(), "\ud800", {}, BrokenInputError, "line 7 is no Unicode text"),
        (Spelling(), "1234", {"new_tokens": 9}, UsageError, "line 7 is too long"),
    ],
)
def test_a_text_that_cannot_be_continued_is_named_before_any_is(
    spelling, runner, text, asked, kind, words
):
    records = generate(
        spelling(runner),
        Generation((Text("1", "line 1"), Text(text, "line 7")), **asked),
        threads=1,
    )
    with pytest.raises(kind, match=words):
        next(records)


def test_what_is_no_artifact_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="no manifest"):
        continued(tmp_path, *TEXTS)


def test_settings_tell_apart_all_that_records_depend_on(converted):
    def settings(*texts, artifact="onnx-f32", **asked):
        return Generation(texts, **asked).settings(converted.artifacts[artifact])

    one = settings(Text("ab", "x"), Text("c", "y"))
    assert one == settings(Text("ab", "elsewhere"), Text("c", "y"))
    others = [
        settings(Text("a", "x"), Text("bc", "y")),
        settings(Text("ab", "x"), Text("c", "y"), artifact="gguf-q8_0"),
        settings(Text("ab", "x"), Text("c", "y"), sampling=Sampling()),
        settings(Text("ab", "x"), Text("c", "y"), batch=2),
        settings(Text("\ud800", "x")),
    ]
    assert one not in others
