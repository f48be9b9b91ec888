"""What a document introduces, it keeps: people, things and answers stay the same to its end."""

import re
from random import Random

import pytest

from golden.training import lexicon, stories

SEEDS = range(200)
NAMES = {person.name for person in lexicon.PEOPLE}


def names_in(text):
    return {word for word in re.findall(r"[A-Z][a-z]+", text) if word in NAMES}


@pytest.mark.parametrize(
    "kind", [stories.story, stories.story_with_questions, stories.dialogue, stories.letter]
)
def test_a_document_has_one_or_two_people(kind):
    assert all(1 <= len(names_in(kind(Random(seed)))) <= 2 for seed in SEEDS)


def test_an_answer_repeats_what_the_text_said():
    for seed in SEEDS:
        facts, *exchanges = stories.story_with_questions(Random(seed)).split("\n")
        answers = [line.removeprefix("Answer: ") for line in exchanges[1::2]]
        assert len(answers) == 3
        for answer in answers:
            told = set(re.findall(r"\w+", facts)) | {"It", "has", "the", "On"}
            assert set(re.findall(r"\w+", answer)) <= told


def test_a_letter_ends_with_the_name_of_its_writer():
    text = stories.letter(Random(3))
    assert text.startswith("Dear ")
    assert text.split()[-1] in NAMES
    assert text.split()[-1] != text.split()[1].rstrip(",")


def test_stories_differ_from_one_another():
    assert len({stories.story(Random(seed)) for seed in SEEDS}) == len(SEEDS)
