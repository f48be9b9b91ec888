"""Which words the training text is made of, and what belongs together in its small world."""

from __future__ import annotations

from typing import NamedTuple


class Person(NamedTuple):
    """A character and the pronouns that refer to them."""

    name: str
    he: str
    him: str
    his: str


class Trade(NamedTuple):
    """What someone does for a living; the same facts hold in every document."""

    name: str
    workplace: str
    tool: str
    product: str


class Animal(NamedTuple):
    """An animal and the fixed facts about it; `sound` is a verb form like *barks*."""

    name: str
    young: str
    sound: str
    home: str
    food: str


def words(text: str) -> list[str]:
    """Cut a text at its spaces."""
    return text.split()


_WOMEN = words(
    "Anna Mara Lucy Nora Ida Elsa Ruth Clara Vera Hana Lena Tilda Grace Olive Rosa Mina Edith Fay"
)
_MEN = words(
    "Tom Ben Otto Hugo Paul Leo Max Sam Felix Jonas Oscar Emil Karl Noah Ivan Arlo Peter Luke"
)

PEOPLE = [
    *(Person(name, "she", "her", "her") for name in _WOMEN),
    *(Person(name, "he", "him", "his") for name in _MEN),
]

TRADES = [
    Trade("baker", "bakery", "oven", "bread"),
    Trade("tailor", "workshop", "needle", "coats"),
    Trade("farmer", "field", "plough", "corn"),
    Trade("painter", "studio", "brush", "pictures"),
    Trade("teacher", "school", "blackboard", "lessons"),
    Trade("sailor", "harbour", "rope", "long voyages"),
    Trade("gardener", "garden", "spade", "flower beds"),
    Trade("miller", "mill", "millstone", "flour"),
    Trade("potter", "shed", "wheel", "bowls"),
    Trade("cook", "kitchen", "pan", "soup"),
    Trade("smith", "forge", "hammer", "horseshoes"),
    Trade("carpenter", "yard", "saw", "tables"),
]

# The preposition with which each place answers "where?".
PLACES = {
    "garden": "in",
    "forest": "in",
    "library": "in",
    "kitchen": "in",
    "attic": "in",
    "barn": "in",
    "market": "at",
    "station": "at",
    "harbour": "at",
    "mill": "at",
    "river": "by",
    "lake": "by",
    "fountain": "by",
    "bridge": "near",
    "tower": "near",
    "hill": "on",
    "beach": "on",
    "island": "on",
}

THINGS = words(
    "key lamp map ring kite drum coin basket letter umbrella clock bell boat cup book ball button "
    "shell whistle box mirror scarf candle feather hat violin stone pencil bottle ladder"
)

COLOURS = words("red blue green yellow white black brown silver golden orange")

SIZES = words("small big old new heavy little round broken beautiful strange")

WEATHER = {
    "sunny": "The sun was shining",
    "rainy": "It was raining",
    "windy": "The wind was blowing",
    "snowy": "It was snowing",
    "foggy": "There was a thick fog",
    "cold": "There was ice on the windows",
}

MOODS = words("happy sad tired angry hungry proud curious afraid")

FOODS = words(
    "bread milk eggs butter cheese apples pears honey salt rice tea soup carrots onions plums nuts"
)

COUNTED = words("apples pears coins books shells eggs stones buttons nuts cups plums pencils")

ANIMALS = [
    Animal("dog", "puppy", "barks", "kennel", "meat"),
    Animal("cat", "kitten", "purrs", "house", "fish"),
    Animal("cow", "calf", "moos", "stable", "grass"),
    Animal("horse", "foal", "neighs", "stable", "hay"),
    Animal("sheep", "lamb", "bleats", "meadow", "grass"),
    Animal("duck", "duckling", "quacks", "pond", "water plants"),
    Animal("hen", "chick", "clucks", "coop", "corn"),
    Animal("pig", "piglet", "grunts", "sty", "potatoes"),
    Animal("frog", "tadpole", "croaks", "pond", "flies"),
    Animal("bear", "cub", "growls", "cave", "berries"),
    Animal("goose", "gosling", "honks", "farmyard", "grass"),
    Animal("wolf", "pup", "howls", "forest", "meat"),
]

CAPITALS = {
    "France": "Paris",
    "Spain": "Madrid",
    "Italy": "Rome",
    "Germany": "Berlin",
    "Austria": "Vienna",
    "Poland": "Warsaw",
    "Norway": "Oslo",
    "Sweden": "Stockholm",
    "Finland": "Helsinki",
    "Denmark": "Copenhagen",
    "Greece": "Athens",
    "Portugal": "Lisbon",
    "Ireland": "Dublin",
    "Hungary": "Budapest",
    "Belgium": "Brussels",
    "Egypt": "Cairo",
    "Kenya": "Nairobi",
    "Japan": "Tokyo",
    "China": "Beijing",
    "Russia": "Moscow",
    "Canada": "Ottawa",
    "Cuba": "Havana",
    "Peru": "Lima",
    "Chile": "Santiago",
}

OPPOSITES = {
    "big": "small",
    "hot": "cold",
    "old": "new",
    "high": "low",
    "fast": "slow",
    "day": "night",
    "long": "short",
    "open": "closed",
    "full": "empty",
    "light": "dark",
    "early": "late",
    "happy": "sad",
    "loud": "quiet",
    "wet": "dry",
    "strong": "weak",
    "near": "far",
}

COLOURED = {
    "grass": "green",
    "snow": "white",
    "the sky": "blue",
    "coal": "black",
    "blood": "red",
    "a lemon": "yellow",
    "milk": "white",
    "a carrot": "orange",
    "a leaf": "green",
    "the night": "black",
    "chocolate": "brown",
    "the sea": "blue",
}

DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")

# Month names with their lengths in a common year.
MONTHS = {
    "January": 31,
    "February": 28,
    "March": 31,
    "April": 30,
    "May": 31,
    "June": 30,
    "July": 31,
    "August": 31,
    "September": 30,
    "October": 31,
    "November": 30,
    "December": 31,
}

NUMBERS = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
)


def with_article(phrase: str) -> str:
    """Put *a* or *an* before a phrase of this lexicon."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def listed(words: list[str]) -> str:
    """Join words as a sentence lists them: *a, b and c*."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
