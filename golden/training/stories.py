"""Which stories, dialogues and letters the training text tells, and how one is told.

A plot is a list of beats and a beat is a choice of sentences. The slots in braces are filled once a
story, so that a name, a colour or a place introduced early must be remembered later.
"""

from __future__ import annotations

from random import Random

from golden.training import lexicon

Beat = tuple[str, ...]

_OPENINGS: Beat = (
    "{A} was {a_trade} and lived {where}.",
    "Once there was {a_trade} named {A}.",
    "One {weather} morning, {A} went to the {place}.",
    "It was {day}. {A} and {B} were {where}.",
    "{Sky} when {A} came to the {place}.",
    "On {day}, {A} felt {mood} and went for a walk.",
)

_ENDINGS: Beat = (
    "In the evening {A} and {B} walked home together.",
    "That night {A} put the {thing} next to {his} bed and slept well.",
    "{A} never forgot that {day}.",
    "It was a day that {A} and {B} would remember.",
    '"What a day!" said {A}, and {B} laughed.',
    "From that day on, {A} and {B} were good friends.",
)

_LOST: list[Beat] = [
    (
        "{He} had {a_thing}, and {he} liked it very much.",
        "{His} mother had given {him} {a_thing}.",
        "In {his} pocket there was {a_thing}.",
    ),
    (
        "But in the afternoon the {thing} was gone.",
        "Then {A} saw that the {thing} was not there.",
        "When {he} looked again, the {colour} {thing} was gone.",
    ),
    (
        '"Where is my {thing}?" asked {A}.',
        '"Oh no, I have lost my {thing}!" said {A}.',
        "{A} looked for the {thing} everywhere, but {he} could not find it.",
    ),
    (
        '{B} came and said, "I will help you to look for the {colour} {thing}."',
        "{A} asked {B} for help, and {B} said yes.",
        '"Do not be sad, {A}," said {B}. "We will find it."',
    ),
    (
        "They looked {where2}, but the {thing} was not there.",
        "First they went to the {place2}, but they found nothing.",
        "{B} looked {where2}, and {A} looked {where}.",
    ),
    (
        "At last {B} found the {colour} {thing} {where}.",
        "Then they saw the {thing} {where}. It was under a tree.",
        '"Look, there is your {thing}!" said {B}.',
    ),
    (
        '"Thank you, {B}," said {A}.',
        "{A} was very happy and thanked {B}.",
        "{A} took the {thing} and gave {B} a piece of bread.",
    ),
]

_GIFT: list[Beat] = [
    (
        "It was the birthday of {B}, and {A} wanted to give {him_b} a present.",
        "{A} wanted to give {B} a present.",
        'The next day was the birthday of {B}. "What can I give {him_b}?" thought {A}.',
    ),
    (
        "{He} went to the {place2} and saw {a_thing} there.",
        "So {he} walked to the {place2} and bought {a_thing}.",
        "{Where2} {he} found {a_thing}.",
    ),
    (
        "It cost {number} coins. {A} had {number} coins, so {he} could pay for it.",
        "{A} put the {thing} into a box with a {colour2} ribbon.",
        "{He} carried the {thing} home in {his} bag.",
    ),
    (
        "When {B} opened the box with the {colour2} ribbon, {he_b} saw the {colour} {thing}.",
        '"This {thing} is for you, {B}," said {A}.',
        "{A} gave the {colour} {thing} to {B}.",
    ),
    (
        '"A {thing}! Thank you, {A}!" said {B}.',
        '"I always wanted to have a {thing}," said {B}.',
        "{B} was very happy about the {thing}.",
    ),
]

_ANIMAL: list[Beat] = [
    (
        "{Where} {he} heard something. It was {a_animal}.",
        "On the way {he} met {a_animal}.",
        "There {he} saw {a_animal} that was hungry.",
    ),
    (
        'The {animal} was {mood2}. "Are you hungry?" asked {A}.',
        "The {animal} looked at {A} and did not run away.",
        "The {animal} wanted to have something to eat.",
    ),
    (
        "{A} gave the {animal} some {food}, and the {animal} ate it.",
        "A {animal} likes {food}, so {A} gave it some {food}.",
        '"Here is some {food} for you," said {A} to the {animal}.',
    ),
    (
        "{A} called the {animal} {pet}.",
        '"I will call you {pet}," said {A}.',
        "The {animal} was given the name {pet}.",
    ),
    (
        "{pet} went with {A} to the {place2}.",
        "When {A} went home, {pet} came too.",
        '{B} saw {pet} and asked, "Whose {animal} is this?"',
    ),
    (
        '"This is {pet}, my {animal}," said {A} to {B}.',
        "{B} liked {pet} very much.",
        "Now {pet} and {A} are always together.",
    ),
]

_WORK: list[Beat] = [
    (
        "{A} the {trade} worked in the {workplace} every day.",
        "Every morning {he} went to the {workplace}, because {he} was {a_trade}.",
        "{His} {tool} was the most important thing in the {workplace}.",
    ),
    (
        "One day the {tool} was broken.",
        "But on {day} {his} {tool} broke.",
        "Then {he} could not find {his} {tool}.",
    ),
    (
        '"Without my {tool} I cannot make {product}," said {A}.',
        "No {trade} can make {product} without {a_tool}.",
        '"What is {a_trade} without {a_tool}?" said {A} to {B}.',
    ),
    (
        "{B} had an idea. {He_b} went to the {place2} and came back with {a_tool}.",
        '{B} said, "Take my {tool}, {A}. I do not need it."',
        "So {B} and {A} went to the {place2} and bought a new {tool}.",
    ),
    (
        "Now {A} could make {product} again.",
        "{A} worked all night and made {product} for {B}.",
        '"Thank you, {B}. Now I can make {product} again," said {A}.',
    ),
]

_PLOTS = (_LOST, _GIFT, _ANIMAL, _WORK)

_PETS = lexicon.words("Pip Momo Bruno Luna Spot Coco Rex Minka Flick Tiger")


def _cast(rng: Random) -> dict[str, str]:
    """Fill every slot that a plot may use, consistently with the lexicon's facts."""
    cast = {**_people(rng), **_surroundings(rng)}
    for slot in ("he", "his", "he_b", "where", "where2"):
        cast[slot[0].upper() + slot[1:]] = cast[slot][0].upper() + cast[slot][1:]
    return cast


def _people(rng: Random) -> dict[str, str]:
    first, second = rng.sample(lexicon.PEOPLE, 2)
    trade = rng.choice(lexicon.TRADES)
    return {
        "A": first.name,
        "he": first.he,
        "him": first.him,
        "his": first.his,
        "B": second.name,
        "he_b": second.he,
        "him_b": second.him,
        "trade": trade.name,
        "a_trade": lexicon.with_article(trade.name),
        "workplace": trade.workplace,
        "tool": trade.tool,
        "a_tool": lexicon.with_article(trade.tool),
        "product": trade.product,
        "mood": rng.choice(lexicon.MOODS),
        "mood2": rng.choice(lexicon.MOODS),
    }


def _surroundings(rng: Random) -> dict[str, str]:
    place, place2 = rng.sample(sorted(lexicon.PLACES), 2)
    colour, colour2 = rng.sample(lexicon.COLOURS, 2)
    thing = rng.choice(lexicon.THINGS)
    animal = rng.choice(lexicon.ANIMALS)
    weather = rng.choice(sorted(lexicon.WEATHER))
    return {
        "place": place,
        "where": f"{lexicon.PLACES[place]} the {place}",
        "place2": place2,
        "where2": f"{lexicon.PLACES[place2]} the {place2}",
        "thing": thing,
        "a_thing": lexicon.with_article(f"{rng.choice(lexicon.SIZES)} {colour} {thing}"),
        "colour": colour,
        "colour2": colour2,
        "number": rng.choice(lexicon.NUMBERS[2:]),
        "animal": animal.name,
        "a_animal": lexicon.with_article(f"{rng.choice(lexicon.COLOURS)} {animal.name}"),
        "food": animal.food,
        "pet": rng.choice(_PETS),
        "weather": weather,
        "Sky": lexicon.WEATHER[weather],
        "day": rng.choice(lexicon.DAYS),
    }


def _told(rng: Random) -> tuple[str, dict[str, str]]:
    """Tell one story; return it with the cast that plays in it."""
    cast = _cast(rng)
    beats = [_OPENINGS, *rng.choice(_PLOTS), _ENDINGS]
    return " ".join(rng.choice(beat).format(**cast) for beat in beats), cast


def story(rng: Random) -> str:
    """Tell a story, sometimes with its title or cut into two paragraphs."""
    text, cast = _told(rng)
    form = rng.randrange(3)
    if form == 0:
        return f"{cast['A']} and {cast['B']}\n\n{text}"
    if form == 1:
        head, mark, tail = text.partition(". ")
        return f"{head}{mark.strip()}\n\n{tail}" if tail else text
    return text


def story_with_questions(rng: Random) -> str:
    """Give a few facts about two people, then ask for them."""
    cast = _cast(rng)
    facts = [
        ("{A} has {a_thing}.", "Who has the {thing}?", "{A} has the {thing}."),
        ("{A} is {a_trade}.", "What is {A}?", "{A} is {a_trade}."),
        ("{B} lives {where}.", "Where does {B} live?", "{B} lives {where}."),
        ("{B} is {mood} today.", "How is {B} today?", "{B} is {mood} today."),
        ("The {animal} of {A} is called {pet}.", "Who is {pet}?", "{pet} is the {animal} of {A}."),
        ("The hat of {B} is {colour2}.", "What colour is the hat of {B}?", "It is {colour2}."),
        ("On {day} {A} goes to the {place2}.", "When does {A} go to the {place2}?", "On {day}."),
    ]
    chosen = rng.sample(facts, rng.randint(3, 5))
    asked = rng.sample(chosen, 3)
    lines = [" ".join(fact for fact, _, _ in chosen)]
    for _, question, answer in asked:
        lines += [f"Question: {question}", f"Answer: {answer}"]
    return "\n".join(lines).format(**cast)


def dialogue(rng: Random) -> str:
    """Let two people talk about a thing and a place."""
    turns: list[Beat] = [
        ('"Good morning, {B}," said {A}.', '"Hello, {B}! How are you?" asked {A}.'),
        (
            '"Good morning, {A}," said {B}. "I am {mood} today."',
            '"Hello, {A}. I am {mood}," said {B}.',
        ),
        ('"Why are you {mood}?" asked {A}.', '"Tell me why you are {mood}, {B}," said {A}.'),
        (
            '"Because I have found {a_thing} {where}," said {B}.',
            '"I have lost {a_thing} {where}," said {B}.',
            '"I must go to the {place} on {day}," said {B}.',
        ),
        ('"What do you want to do now?" asked {A}.', '"Can I help you?" asked {A}.'),
        (
            '"Yes, come with me to the {place}," said {B}.',
            '"Let us go to the {place} together," said {B}.',
            '"No, thank you, {A}," said {B}. "I will go to the {place} alone."',
        ),
        ('"Goodbye, {B}," said {A}.', '"See you on {day}, {B}," said {A}.'),
    ]
    return "\n".join(rng.choice(turn) for turn in turns).format(**_cast(rng))


def letter(rng: Random) -> str:
    """Write a short letter from one person to another."""
    lines = [
        "Dear {B},",
        rng.choice(("thank you for the {colour} {thing}.", "how are you? I am {mood}.")),
        rng.choice(("Now I am {where}.", "I write to you from the {place}.")),
        rng.choice(
            (
                "Here I have seen {a_animal}, and I have called it {pet}.",
                "I have found {a_thing} here.",
            )
        ),
        rng.choice(
            ("On {day} I will go to the {place2}.", "Will you come to the {place2} on {day}?")
        ),
        rng.choice(("Your friend {A}", "With love, {A}", "Yours, {A}")),
    ]
    return "\n".join(lines).format(**_cast(rng))
