"""The words agree with one another: no fact contradicts another, every article is right."""

import pytest

from golden.training import lexicon


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("apple", "an apple"),
        ("old map", "an old map"),
        ("key", "a key"),
        ("umbrella", "an umbrella"),
    ],
)
def test_articles_follow_the_sound(phrase, expected):
    assert lexicon.with_article(phrase) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tea"], "tea"),
        (["tea", "salt"], "tea and salt"),
        (["tea", "salt", "rice"], "tea, salt and rice"),
    ],
)
def test_lists_end_with_and(words, expected):
    assert lexicon.listed(words) == expected


def test_words_are_cut_at_spaces():
    assert lexicon.words("key lamp  map") == ["key", "lamp", "map"]


def test_no_two_people_share_a_name():
    names = [person.name for person in lexicon.PEOPLE]
    assert len(set(names)) == len(names)


def test_questions_by_tool_and_by_sound_have_one_answer():
    assert len({trade.tool for trade in lexicon.TRADES}) == len(lexicon.TRADES)
    assert len({animal.sound for animal in lexicon.ANIMALS}) == len(lexicon.ANIMALS)


def test_a_year_has_365_days():
    assert sum(lexicon.MONTHS.values()) == 365


def test_numbers_stand_at_their_own_index():
    assert lexicon.NUMBERS[0] == "zero"
    assert lexicon.NUMBERS[12] == "twelve"
    assert lexicon.NUMBERS[20] == "twenty"
