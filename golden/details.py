"""What the gate saw beyond its verdict, for people: each position, and what a token takes."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.format import Golden
from golden.metrics import PromptFigures
from targets.runner import Runner

SHOWN_PROMPTS = 8
"""Prompts that are told word by word: those that differ most."""

SHOWN_DEPARTURES = 12
_BEFORE = 8
"""Tokens in front of a departure that are shown with it."""

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class PromptDetails:
    """One prompt of S tokens.

    Args:
        kld: KL(original || artifact) in nats at each position; None where not finite.
        agrees: Whether both rank the same token first, at each position.
        pieces: The text that each token adds; None without a tokenizer, and for prompts that are
            not among those that differ most.
    """

    kld: tuple[float | None, ...]
    agrees: tuple[bool, ...]
    pieces: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Departure:
    """A position where the two say something else.

    Args:
        prompt: Which one, from 0.
        position: Which token of it was read last, from 0.
        before: The last few tokens read, as text.
        original: The token that the original ranks first, as text.
        artifact: The same of the artifact.
        original_share: The probability that the original gives to its first.
        artifact_share: The probability that the artifact gives to its own first.
        kept_share: The probability that the artifact gives to the original's first.
        kld: KL(original || artifact) in nats.
    """

    prompt: int
    position: int
    before: str
    original: str
    artifact: str
    original_share: float
    artifact_share: float
    kept_share: float
    kld: float


@dataclass(frozen=True)
class Details:
    """All of it.

    Args:
        prompts: Each prompt.
        departures: Where the first tokens differ, the largest divergence first.
        continuation: How the original continues the sample, as text, or ids if there is no
            tokenizer; None if it was not recorded, or the artifact got less of the sample.
        decode_ms: Median time of a token fed alone, batch 1; None if none was.
        decode_tokens: How many were timed.
        threads: Of the runtime.
    """

    prompts: tuple[PromptDetails, ...]
    departures: tuple[Departure, ...]
    continuation: str | None
    decode_ms: float | None
    decode_tokens: int
    threads: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Details:
        """The details that `to_json` wrote."""
        prompts = [
            PromptDetails(
                tuple(one["kld"]),
                tuple(one["agrees"]),
                None if one["pieces"] is None else tuple(one["pieces"]),
            )
            for one in values["prompts"]
        ]
        departures = [Departure(**one) for one in values["departures"]]
        return cls(**{**values, "prompts": tuple(prompts), "departures": tuple(departures)})


class DecodeClock:
    """Times a runner whenever it is fed one token; prompts are not timed."""

    def __init__(self, runner: Runner) -> None:
        self._feed: Callable[[Sequence[int]], NDArray[np.float32]] = runner.feed
        self.milliseconds: list[float] = []
        # Whoever feeds the runner, its own methods included, passes here.
        vars(runner)["feed"] = self._timed

    def _timed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        started = time.perf_counter()
        logits = self._feed(ids)
        if len(ids) == 1:
            self.milliseconds.append((time.perf_counter() - started) * 1e3)
        return logits


class Words:
    """Text of tokens, by the original's tokenizer; their numbers if there is none."""

    def __init__(self, tokenizer_json: str | None) -> None:
        self._decoder: Any = None
        if tokenizer_json is not None:
            from tokenizers import Tokenizer

            self._decoder = Tokenizer.from_str(tokenizer_json)

    @property
    def known(self) -> bool:
        """Whether there is a tokenizer."""
        return self._decoder is not None

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens in a row, special ones included."""
        if self._decoder is None:
            return " ".join(map(str, ids))
        return str(self._decoder.decode(list(ids), skip_special_tokens=False))

    def following(self, before: Sequence[int], ids: Sequence[int]) -> str:
        """What ``ids`` add to the text of ``before``; alone they may lose a leading space."""
        start, whole = self.text(before), self.text([*before, *ids])
        return whole[len(start) :] if whole.startswith(start) else self.text(ids)

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...] | None:
        """What each token adds to the text; a character of several tokens comes with its last."""
        if self._decoder is None:
            return None
        found, told = [], ""
        for end in range(1, len(ids) + 1):
            whole = self.text(ids[:end])
            if end < len(ids):
                whole = whole.rstrip(_UNFINISHED)
            grown = whole.startswith(told)
            found.append(whole[len(told) :] if grown else "")
            told = whole if grown else told
        return tuple(found)


def details(
    golden: Golden,
    figures: Sequence[PromptFigures],
    clock: DecodeClock,
    *,
    sample_ids: Sequence[int],
    threads: int,
) -> Details:
    """Gather what was seen.

    Args:
        figures: Of each prompt, perhaps of its first tokens alone.
        clock: That watched the runner.
        sample_ids: What the artifact was given to continue.
    """
    words = Words(golden.header.tokenizer_json)
    shown = set(sorted(range(len(figures)), key=lambda i: -_mean(figures[i]))[:SHOWN_PROMPTS])
    prompts = [
        PromptDetails(
            tuple(_figure(value) for value in each.kld),
            tuple(map(bool, each.agrees)),
            words.pieces(golden.prompts[i][: len(each.kld)]) if i in shown else None,
        )
        for i, each in enumerate(figures)
    ]
    times = clock.milliseconds
    return Details(
        prompts=tuple(prompts),
        departures=_departures(golden, figures, words),
        continuation=_continuation(golden, words, sample_ids),
        decode_ms=float(f"{statistics.median(times):.4g}") if times else None,
        decode_tokens=len(times),
        threads=threads,
    )


def _departures(
    golden: Golden, figures: Sequence[PromptFigures], words: Words
) -> tuple[Departure, ...]:
    places = [
        (float(each.kld[at]), number, int(at))
        for number, each in enumerate(figures)
        for at in np.flatnonzero(each.finite & ~each.agrees)
    ]
    places.sort(key=lambda place: (-place[0], place[1:]))
    found = []
    for kld, number, at in places[:SHOWN_DEPARTURES]:
        read = golden.prompts[number][max(0, at + 1 - _BEFORE) : at + 1]
        original, artifact = map(int, figures[number].first[:, at])
        shares = [float(f"{share:.3g}") for share in figures[number].shares[:, at]]
        found.append(
            Departure(
                prompt=number,
                position=at,
                before=words.text(read),
                original=words.following(read, [original]),
                artifact=words.following(read, [artifact]),
                original_share=shares[0],
                artifact_share=shares[1],
                kept_share=shares[2],
                kld=float(f"{kld:.4g}"),
            )
        )
    return tuple(found)


def _continuation(golden: Golden, words: Words, sample_ids: Sequence[int]) -> str | None:
    header = golden.header
    if header.continuation is None or tuple(sample_ids) != header.sample_ids:
        return None
    return words.following(header.sample_ids, header.continuation)


def _mean(figures: PromptFigures) -> float:
    """What is not finite is worst."""
    return math.inf if not figures.finite.all() else float(figures.kld.mean())


def _figure(value: float) -> float | None:
    return float(f"{value:.3g}") if math.isfinite(value) else None
