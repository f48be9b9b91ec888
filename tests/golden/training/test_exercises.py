"""Every sum, date, list and line of code in the training text is right."""

import re
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from random import Random

from golden.training import exercises, lexicon

SEEDS = range(300)


def test_every_equation_holds():
    for seed in SEEDS:
        text = exercises.arithmetic(Random(seed))
        equations = re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", text)
        assert equations
        for left, sign, right, result in equations:
            assert int(left) + int(f"{sign}{right}") == int(result)


def test_a_spoken_sum_holds():
    for seed in SEEDS:
        for left, word, right, result in re.findall(
            r"(\d+) (plus|minus) (\d+) is (\d+)", exercises.question(Random(seed))[1]
        ):
            sign = 1 if word == "plus" else -1
            assert int(left) + sign * int(right) == int(result)


def test_the_code_prints_what_its_comment_says():
    for seed in SEEDS:
        text = exercises.code(Random(seed))
        printed = StringIO()
        with redirect_stdout(printed):
            exec(compile(text, "generated", "exec"), {})
        assert printed.getvalue().strip() == text.rsplit(" ", 1)[1]


def test_a_diary_runs_through_days_that_follow_one_another():
    for seed in SEEDS:
        lines = exercises.diary(Random(seed)).splitlines()[1:]
        entries = [re.match(r"(\w+), (\d+) (\w+) (\d+)\.", line).groups() for line in lines]
        days = [lexicon.DAYS.index(day) for day, *_ in entries]
        dates = [int(date) for _, date, *_ in entries]
        assert all((after - before) % 7 == 1 for before, after in pairwise(days))
        assert dates == list(range(dates[0], dates[0] + len(dates)))
        assert dates[-1] <= lexicon.MONTHS[entries[0][2]]


def test_a_list_is_repeated_in_its_order():
    for seed in SEEDS:
        text = exercises.shopping(Random(seed))
        foods = re.findall(r"^- (\w+)$", text, re.MULTILINE)
        assert text.count(lexicon.listed(foods)) == 2
        assert f"There are {lexicon.NUMBERS[len(foods)]} things" in text


def test_words_are_repeated_forwards_and_backwards():
    for seed in SEEDS:
        lines = exercises.repetition(Random(seed)).splitlines()
        said = [line.split(": ")[1].rstrip(".").split(", ") for line in lines]
        assert said[1] == said[0]
        assert said[2:] in ([], [said[0][::-1]])


def test_a_question_has_only_one_answer():
    answers = {}
    rng = Random(1)
    for _ in range(3000):
        asked, answer = exercises.question(rng)
        assert answers.setdefault(asked, answer) == answer


def test_question_documents_alternate_questions_and_answers():
    lines = exercises.questions(Random(2)).splitlines()
    assert [line.split(":")[0] for line in lines] == ["Question", "Answer"] * (len(lines) // 2)


def test_facts_are_sentences():
    assert all(exercises.facts(Random(seed)).endswith(".") for seed in SEEDS)


def test_a_portrait_holds_the_facts_of_its_animal():
    text = exercises.animal_portrait(Random(5))
    name = text.split()[1]
    animal = next(animal for animal in lexicon.ANIMALS if animal.name == name)
    assert animal.young in text
    assert animal.food in text
