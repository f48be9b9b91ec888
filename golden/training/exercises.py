"""Which facts, sums, dates, lists and lines of code the training text contains."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from golden.training import lexicon

Question = tuple[str, str]


def _capital(rng: Random) -> Question:
    country = rng.choice(sorted(lexicon.CAPITALS))
    city = lexicon.CAPITALS[country]
    if rng.random() < 0.25:
        return f"Where is {city}?", f"{city} is the capital of {country}."
    return f"What is the capital of {country}?", f"The capital of {country} is {city}."


def _animal(rng: Random) -> Question:
    animal = rng.choice(lexicon.ANIMALS)
    name = animal.name
    return rng.choice(
        [
            (f"What is a young {name} called?", f"A young {name} is called a {animal.young}."),
            (f"What does a {name} eat?", f"A {name} eats {animal.food}."),
            (f"Where does a {name} live?", f"A {name} lives in a {animal.home}."),
            (f"Which animal {animal.sound}?", f"The {name} {animal.sound}."),
        ]
    )


def _trade(rng: Random) -> Question:
    trade = rng.choice(lexicon.TRADES)
    name = trade.name
    return rng.choice(
        [
            (f"Where does a {name} work?", f"A {name} works in a {trade.workplace}."),
            (f"What does a {name} make?", f"A {name} makes {trade.product}."),
            (f"Who works with a {trade.tool}?", f"A {name} works with a {trade.tool}."),
        ]
    )


def _word(rng: Random) -> Question:
    if rng.random() < 0.5:
        word = rng.choice(sorted(lexicon.OPPOSITES))
        answer = f"The opposite of {word} is {lexicon.OPPOSITES[word]}."
        return f"What is the opposite of {word}?", answer
    thing = rng.choice(sorted(lexicon.COLOURED))
    return f"What colour is {thing}?", f"{thing.capitalize()} is {lexicon.COLOURED[thing]}."


def _sum(rng: Random) -> Question:
    first, second = rng.randint(1, 10), rng.randint(1, 10)
    if rng.random() < 0.5:
        return f"What is {first} plus {second}?", f"{first} plus {second} is {first + second}."
    total = first + second
    return f"What is {total} minus {second}?", f"{total} minus {second} is {first}."


def _calendar(rng: Random) -> Question:
    index = rng.randrange(7)
    day, following = lexicon.DAYS[index], lexicon.DAYS[(index + 1) % 7]
    month, days = rng.choice(sorted(lexicon.MONTHS.items()))
    return rng.choice(
        [
            (f"Which day comes after {day}?", f"After {day} comes {following}."),
            (f"Which day comes before {following}?", f"Before {following} comes {day}."),
            (f"How many days has {month}?", f"{month} has {days} days."),
        ]
    )


_ASKERS: tuple[Callable[[Random], Question], ...] = (
    _capital,
    _animal,
    _trade,
    _word,
    _sum,
    _calendar,
)


def question(rng: Random) -> Question:
    """Ask one question of the small world; return it with its only right answer."""
    return rng.choice(_ASKERS)(rng)


def facts(rng: Random) -> str:
    """State several facts of one kind, or of mixed kinds."""
    asker = rng.choice([*_ASKERS, question])
    return " ".join(asker(rng)[1] for _ in range(rng.randint(3, 8)))


def questions(rng: Random) -> str:
    """Ask and answer in the form *Question: ... Answer: ...*."""
    pairs = [question(rng) for _ in range(rng.randint(2, 5))]
    return "\n".join(f"Question: {asked}\nAnswer: {answer}" for asked, answer in pairs)


def arithmetic(rng: Random) -> str:
    """Count the things of one person, or work through a column of sums."""
    if rng.random() < 0.4:
        step, start = rng.randint(1, 5), rng.randint(1, 10)
        lines = [f"{start + i} + {step} = {start + i + step}" for i in range(rng.randint(4, 9))]
        return "\n".join(lines)
    person, other = rng.sample(lexicon.PEOPLE, 2)
    things = rng.choice(lexicon.COUNTED)
    has, gets = rng.randint(2, 10), rng.randint(1, 10)
    gives = rng.randint(1, has + gets - 1)
    return (
        f"{person.name} has {has} {things}. {other.name} gives {person.him} {gets} {things}. "
        f"Now {person.name} has {has} + {gets} = {has + gets} {things}. "
        f"Then {person.he} gives {gives} {things} to {other.name}. "
        f"Now {person.name} has {has + gets} - {gives} = {has + gets - gives} {things}."
    )


def diary(rng: Random) -> str:
    """Write dated entries for days that follow one another."""
    month, days = rng.choice(sorted(lexicon.MONTHS.items()))
    length = rng.randint(2, 5)
    first, weekday = rng.randint(1, days - length), rng.randrange(7)
    year, person = rng.randint(1950, 2020), rng.choice(lexicon.PEOPLE)
    lines = [f"The diary of {person.name}"]
    for i in range(length):
        place = rng.choice(sorted(lexicon.PLACES))
        lines.append(
            f"{lexicon.DAYS[(weekday + i) % 7]}, {first + i} {month} {year}. Today I was "
            f"{lexicon.PLACES[place]} the {place} and felt {rng.choice(lexicon.MOODS)}."
        )
    return "\n".join(lines)


def shopping(rng: Random) -> str:
    """Write a list, then say again what stands on it."""
    foods = rng.sample(lexicon.FOODS, rng.randint(3, 6))
    person = rng.choice(lexicon.PEOPLE)
    items = "\n".join(f"- {food}" for food in foods)
    return (
        f"The list of {person.name}:\n{items}\n"
        f"There are {lexicon.NUMBERS[len(foods)]} things on the list: {lexicon.listed(foods)}. "
        f"{person.name} buys {lexicon.listed(foods)} at the market."
    )


def repetition(rng: Random) -> str:
    """Say some words and say them again, which only copying can predict."""
    words = rng.sample([*lexicon.THINGS, *lexicon.FOODS, *lexicon.COLOURS], rng.randint(4, 9))
    lines = [f"Say these words: {', '.join(words)}.", f"Again: {', '.join(words)}."]
    if rng.random() < 0.5:
        lines.append(f"And backwards: {', '.join(reversed(words))}.")
    return "\n".join(lines)


def code(rng: Random) -> str:
    """Define a small function, or assign names, and use them."""
    names = rng.sample([*lexicon.COUNTED, "total", "count", "price", "size"], 2)
    first, second = rng.randint(1, 10), rng.randint(1, 10)
    word, sign, result = rng.choice(
        [("add", "+", first + second), ("subtract", "-", first - second)]
    )
    if rng.random() < 0.5:
        return (
            f"def {word}({names[0]}, {names[1]}):\n    return {names[0]} {sign} {names[1]}\n\n"
            f"print({word}({first}, {second}))\n# prints {result}"
        )
    return (
        f"{names[0]} = {first}\n{names[1]} = {second}\n"
        f"if {names[0]} > {names[1]}:\n    print({names[0]})\n"
        f"else:\n    print({names[1]})\n# prints {max(first, second)}"
    )


def animal_portrait(rng: Random) -> str:
    """Describe an animal by everything that is known about it."""
    animal = rng.choice(lexicon.ANIMALS)
    name = animal.name
    sentences = [
        f"It lives in a {animal.home}.",
        f"It eats {animal.food}.",
        f"When it is {rng.choice(lexicon.MOODS)}, it {animal.sound}.",
        f"A young {name} is called a {animal.young}.",
    ]
    rng.shuffle(sentences)
    colour = rng.choice(lexicon.COLOURS)
    return f"The {name} is an animal. {' '.join(sentences)} This {name} is {colour}."
