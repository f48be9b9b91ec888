"""How fast a finished artifact runs here, in its own runtime: first token, next tokens, by kind."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from convert.errors import UnsupportedError
from convert.manifest import read_manifest
from targets import target as target_named
from targets.base import Runner, Target

_IDS = 97
"""Token ids run from 1 to this: every vocabulary has them, and none is padding."""


@dataclass(frozen=True)
class Speed:
    """Times of an artifact, batch 1.

    Args:
        prompt_tokens: Length of the prompt.
        new_tokens: Tokens after the first.
        first_ms: From the prompt to the first token, in ms: median of three, after a warm-up.
        next_ms: One token after another, in ms: the median.
        prompt_by_kind: Microseconds of the prompt by kind of operator; empty unless asked for.
        decode_by_kind: The same of one token after another, on average.
    """

    prompt_tokens: int
    new_tokens: int
    first_ms: float
    next_ms: float
    prompt_by_kind: Mapping[str, float]
    decode_by_kind: Mapping[str, float]

    def as_json(self) -> str:
        """All figures."""
        return json.dumps(asdict(self), indent=1)

    def as_text(self) -> str:
        """Two lines, and a table of kinds if there are any."""
        lines = [
            f"first token: {self.first_ms:.1f} ms for a prompt of {self.prompt_tokens} tokens",
            f"next token:  {self.next_ms:.2f} ms, median of {self.new_tokens}",
        ]
        if self.decode_by_kind:
            lines.append(f"\n{'':22}{'prompt':>18}{'next token':>18}")
        for kind in self.prompt_by_kind.keys() | self.decode_by_kind.keys():
            shares = [_share(kind, of) for of in (self.prompt_by_kind, self.decode_by_kind)]
            lines.append(f"{kind:22}{shares[0]:>18}{shares[1]:>18}")
        return "\n".join([*lines[:3], *sorted(lines[3:])])


def measure_speed(
    artifact: Path, *, prompt_tokens: int, new_tokens: int, threads: int, profile: bool
) -> Speed:
    """Run an artifact.

    Args:
        profile: Also sum up the runtime's own times by kind of operator, in a run of their own.

    Raises:
        MissingFileError: ``artifact`` has no manifest.
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
    prompt = [1 + token % _IDS for token in range(prompt_tokens)]
    with target.runner(artifact, threads=threads) as runner:
        _feed(runner, prompt)
        first = statistics.median(_feed(runner, prompt) for _ in range(3))
        following = [_timed(runner, [1 + step % _IDS]) for step in range(new_tokens)]
    kinds: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {})
    if profile:
        with target.profiling_runner(artifact, threads=threads) as runner:
            kinds = _by_kind(runner, prompt, new_tokens)
        if not kinds[0]:
            raise UnsupportedError(
                f"the runtime of {artifact} tells no times by operator",
                remedy="leave out --profile; for an artifact of several ranks run its launch.sh "
                "with --profile",
            )
    return Speed(prompt_tokens, new_tokens, first, statistics.median(following), *kinds)


def _by_kind(
    runner: Runner, prompt: list[int], new_tokens: int
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Microseconds of a prompt, and on average of each token after it."""
    _feed(runner, prompt)
    _feed(runner, prompt)
    first, following = dict(runner.time_by_kind()), Counter[str]()
    for step in range(new_tokens):
        runner.feed([1 + step % _IDS])
        following.update(runner.time_by_kind())
    return first, {kind: spent / new_tokens for kind, spent in following.items()}


def _feed(runner: Runner, prompt: list[int]) -> float:
    runner.reset()
    return _timed(runner, prompt)


def _timed(runner: Runner, ids: list[int]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    runner.feed(ids)
    return (time.perf_counter() - start) * 1e3


def _share(kind: str, times: Mapping[str, float]) -> str:
    spent = times.get(kind, 0)
    return f"{spent / 1e3:.3f} ms {spent / max(sum(times.values()), 1e-9):6.1%}"
