"""The shipped texts and lengths: of the form that generation and buckets read, and varied."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import AutoTokenizer

import golden
from targets.gaudi.lengths import read_lengths

FOLDER = Path(golden.__file__).parent
TINY_BLOOM = FOLDER / "models" / "tiny-bloom"


def lines(name):
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_every_piece_of_news_has_a_text_and_an_id_of_its_own():
    news = lines("news.jsonl")
    assert len(news) >= 40
    assert all(one.keys() == {"id", "content"} for one in news)
    assert len({one["id"] for one in news}) == len({one["content"] for one in news}) == len(news)
    assert all(one["content"].strip() for one in news)


def test_news_is_short_and_long_and_not_only_ascii():
    texts = [one["content"] for one in lines("news.jsonl")]
    tokenizer = AutoTokenizer.from_pretrained(TINY_BLOOM)
    counts = [len(tokenizer(text)["input_ids"]) for text in texts]
    assert min(len(text.split()) for text in texts) < 8
    assert max(counts) > tokenizer.model_max_length
    assert sum(not text.isascii() for text in texts) >= 3
    assert any('"' in text for text in texts)


def test_lengths_are_counts_of_prompts_and_answers_that_vary():
    lengths = read_lengths(FOLDER / "lengths.jsonl")
    assert len(lengths) == len(lines("lengths.jsonl")) >= 200
    prompts = sorted(prompt for prompt, _ in lengths)
    assert prompts[-1] > 10 * prompts[len(prompts) // 2] > 0
    assert max(prompt + new for prompt, new in lengths) <= 4096
