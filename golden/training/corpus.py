"""The text that the small models learn: generated from a seed, never stored.

Every sentence comes from the templates of this package, so the text may be carried, changed and
published under the project's licence. Names and things introduced early in a document return later,
so that a model must attend over a distance.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random

from golden.training import exercises, stories

TRAINING_SEED = 1
HELD_OUT_SEED = 2

TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
_TURN = re.compile(f"{re.escape(TURN_START)}(\\w+)\n(.*?){re.escape(TURN_END)}", re.DOTALL)


def turn(role: str, content: str) -> str:
    """Write one chat turn exactly as the chat template renders it."""
    return f"{TURN_START}{role}\n{content}{TURN_END}\n"


def chat(rng: Random) -> str:
    """Let a user ask and an assistant answer, one to three times."""
    text = ""
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.8:
            asked, answer = exercises.question(rng)
        else:
            asked, answer = "Tell me a story.", stories.story(rng)
        text += turn("user", asked) + turn("assistant", answer)
    return text.rstrip("\n")


def questions_and_answers(document: str, between: str) -> Iterator[str]:
    """Write a chat without its marks; leave any other document as it is.

    Args:
        document: A document of the corpus.
        between: What stands between a question and its answer.

    Yields:
        One document for each question of a chat.
    """
    turns = [content for _, content in _TURN.findall(document)]
    if not turns:
        yield document
    for asked, answer in zip(turns[::2], turns[1::2], strict=False):
        yield f"{asked}{between}{answer}"


# Each kind of document with its share of the documents.
_KINDS: tuple[tuple[Callable[[Random], str], int], ...] = (
    (stories.story, 30),
    (stories.story_with_questions, 12),
    (stories.dialogue, 8),
    (stories.letter, 6),
    (chat, 12),
    (exercises.facts, 7),
    (exercises.questions, 5),
    (exercises.arithmetic, 5),
    (exercises.diary, 4),
    (exercises.shopping, 4),
    (exercises.repetition, 6),
    (exercises.code, 4),
    (exercises.animal_portrait, 3),
)


def documents(seed: int) -> Iterator[str]:
    """Generate documents without end, the same ones for the same seed."""
    rng = Random(seed)
    kinds = [kind for kind, _ in _KINDS]
    shares = [share for _, share in _KINDS]
    while True:
        yield rng.choices(kinds, shares)[0](rng)


def text_of(seed: int, characters: int) -> list[str]:
    """Generate whole documents until they hold at least so many characters."""
    texts: list[str] = []
    total = 0
    for document in documents(seed):
        texts.append(document)
        total += len(document)
        if total >= characters:
            break
    return texts
