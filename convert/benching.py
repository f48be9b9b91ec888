"""How fast a finished artifact runs here, in its own runtime: first token, next tokens, by kind."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from convert.errors import UsageError
from convert.manifest import read_manifest
from targets import target as target_named
from targets.base import Runner, Target

FIRST_RUNS = 3

_IDS = 97
"""Token ids run from 1 to this: every vocabulary has them, and none is padding."""


@dataclass(frozen=True)
class Speed:
    """Times of an artifact with one length of prompts and one size of batches.

    Args:
        prompt_tokens: Length of each prompt.
        new_tokens: Tokens after the first.
        first_ms: From the prompts to the first token of each, in ms: the median of three runs,
            after a warm-up.
        next_ms: One token after another, in ms: the median.
        batch: Sequences at once.
        first_p90_ms: Nine of ten runs take no longer.
        next_p90_ms: Nine of ten tokens take no longer.
        prompt_by_kind: Microseconds of the prompt by kind of operator; empty unless asked for.
        decode_by_kind: The same of one token after another, on average.
    """

    prompt_tokens: int
    new_tokens: int
    first_ms: float
    next_ms: float
    batch: int = 1
    first_p90_ms: float = 0.0
    next_p90_ms: float = 0.0
    prompt_by_kind: Mapping[str, float] = field(default_factory=dict)
    decode_by_kind: Mapping[str, float] = field(default_factory=dict)

    @property
    def tokens_per_second(self) -> float:
        """Next tokens of all sequences together."""
        return self.batch * 1e3 / self.next_ms


def measure_speed(
    artifact: Path, *, prompt_tokens: int, new_tokens: int, threads: int, profile: bool
) -> Speed:
    """Run an artifact, batch 1.

    Args:
        profile: Also sum up the runtime's own times by kind of operator, in a run of their own.

    Raises:
        MissingFileError: ``artifact`` has no manifest.
        UsageError: The tokens do not fit into the artifact's context.
        UnsupportedError: The runtime tells no times.
    """
    return measure_speed_of(
        target_named(read_manifest(artifact).target),
        artifact,
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        threads=threads,
        profile=profile,
    )


def measure_speed_of(
    target: Target,
    artifact: Path,
    *,
    prompt_tokens: int,
    new_tokens: int,
    threads: int,
    profile: bool,
) -> Speed:
    """As `measure_speed`, of files that need no manifest."""
    kinds: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {})
    if profile:
        # First, because it is refused before anything is loaded.
        with target.profiling_runner(artifact, threads=threads) as runner:
            _require_room(runner, prompt_tokens + new_tokens)
            kinds = _by_kind(runner, _prompt(prompt_tokens), new_tokens)
    with target.runner(artifact, threads=threads) as runner:
        speed = _measured(runner, prompt_tokens, 1, new_tokens)
    return replace(speed, prompt_by_kind=kinds[0], decode_by_kind=kinds[1])


def measure_sweep(
    artifact: Path,
    *,
    prompt_tokens: Sequence[int],
    batches: Sequence[int],
    new_tokens: int,
    threads: int,
) -> Iterator[Speed]:
    """Run an artifact with every length of prompts and every size of batches.

    Raises:
        MissingFileError: ``artifact`` has no manifest.
        UsageError: The tokens do not fit into the artifact's context.
        UnsupportedError: The runtime holds no batch of such a size.
    """
    target = target_named(read_manifest(artifact).target)
    with target.runner(artifact, threads=threads) as runner:
        _require_room(runner, max(prompt_tokens) + new_tokens)
        for batch, length in product(batches, prompt_tokens):
            yield _measured(runner, length, batch, new_tokens)


def _measured(runner: Runner, prompt_tokens: int, batch: int, new_tokens: int) -> Speed:
    _require_room(runner, prompt_tokens + new_tokens)
    runner.reserve(prompt_tokens + new_tokens)
    prompts = [_prompt(prompt_tokens, start=row) for row in range(batch)]
    runner.begin(prompts)
    first = [_timed(lambda: runner.begin(prompts)) for _ in range(FIRST_RUNS)]
    following = [
        _timed(lambda step=step: runner.advance([1 + step % _IDS] * batch))  # type: ignore[misc]
        for step in range(new_tokens)
    ]
    return Speed(
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        first_ms=statistics.median(first),
        next_ms=statistics.median(following),
        batch=batch,
        first_p90_ms=_p90(first),
        next_p90_ms=_p90(following),
    )


def _require_room(runner: Runner, tokens: int) -> None:
    if runner.context is not None and tokens > runner.context:
        raise UsageError(
            "the sequences are longer than the artifact allows",
            expected=f"at most {runner.context} tokens, prompt and new ones together",
            found=f"{tokens} tokens",
            remedy="ask for fewer --prompt-tokens or --new-tokens",
        )


def _prompt(tokens: int, start: int = 0) -> list[int]:
    return [1 + (start + token) % _IDS for token in range(tokens)]


def _by_kind(
    runner: Runner, prompt: list[int], new_tokens: int
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Microseconds of a prompt, and on average of each token after it."""
    for _ in range(2):
        runner.reset()
        runner.feed(prompt)
    first, following = dict(runner.time_by_kind()), Counter[str]()
    for step in range(new_tokens):
        runner.feed([1 + step % _IDS])
        following.update(runner.time_by_kind())
    return first, {kind: spent / new_tokens for kind, spent in following.items()}


def _timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def _p90(times: Sequence[float]) -> float:
    if len(times) < 2:
        return times[0]
    return statistics.quantiles(times, n=10, method="inclusive")[-1]
