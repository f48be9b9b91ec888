"""The prompts on a page: each with its figures, some of them word by word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from golden.details import Details, PromptDetails

HEAT_STEPS = (0.01, 0.05, 0.2, 1.0)
"""KL in nats from which on a token is shaded darker."""


@dataclass(frozen=True)
class Token:
    """A token on a page: its text, how dark (0 to 4), and whether another one is expected next."""

    text: str
    heat: int
    differs: bool


@dataclass(frozen=True)
class Prompt:
    """A prompt on a page.

    Args:
        number: From 1.
        tokens: How many it has.
        mean: Mean KL in nats; None if none is finite.
        largest: The largest one.
        agreement: Share of positions where both rank the same token first.
        words: Its tokens; None if they are not told.
    """

    number: int
    tokens: int
    mean: float | None
    largest: float | None
    agreement: float
    words: tuple[Token, ...] | None


def prompts(details: Details | None) -> tuple[Prompt, ...]:
    """All prompts in their order."""
    if details is None:
        return ()
    return tuple(_prompt(number, one) for number, one in enumerate(details.prompts, 1))


def _prompt(number: int, one: PromptDetails) -> Prompt:
    known = [value for value in one.kld if value is not None]
    return Prompt(
        number=number,
        tokens=len(one.kld),
        mean=sum(known) / len(known) if known else None,
        largest=max(known, default=None),
        agreement=sum(one.agrees) / max(1, len(one.agrees)),
        words=None if one.pieces is None else tuple(_tokens(one, one.pieces)),
    )


def _tokens(prompt: PromptDetails, pieces: tuple[str, ...]) -> Iterator[Token]:
    for text, kld, agrees in zip(pieces, prompt.kld, prompt.agrees, strict=False):
        heat = len(HEAT_STEPS) if kld is None else sum(kld >= step for step in HEAT_STEPS)
        yield Token(text, heat, not agrees)
