"""Continues a batch of prompts token by token, until each has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convert.errors import RunnerCrashedError
from convert.sampling import Chooser
from targets.base import Runner


@dataclass(frozen=True)
class Continuation:
    """What was added to a prompt.

    Args:
        ids: New tokens, without the one that ended them.
        finish: Whether a stop token ended them, or their number.
    """

    ids: tuple[int, ...]
    finish: Literal["stop", "length"]


def continue_batch(
    runner: Runner,
    prompts: Sequence[Sequence[int]],
    choosers: Sequence[Chooser],
    *,
    new_tokens: int,
    stop: frozenset[int],
) -> list[Continuation]:
    """Continue all prompts at once.

    Args:
        choosers: One for each prompt.
        new_tokens: At most so many for each.
        stop: Tokens that end a text.

    Raises:
        RunnerCrashedError: The runtime gives no numbers.
    """
    added: list[list[int]] = [[] for _ in prompts]
    finished = [False] * len(prompts)
    logits = runner.begin(prompts)
    for step in range(new_tokens):
        if np.isnan(logits).any():
            raise RunnerCrashedError("the artifact's runtime gives logits that are not numbers")
        tokens = [0] * len(prompts)  # what those that have ended are fed matters to no one
        for row, choose in enumerate(choosers):
            if finished[row]:
                continue
            tokens[row] = choose(logits[row])
            finished[row] = tokens[row] in stop
            if not finished[row]:
                added[row].append(tokens[row])
        if all(finished) or step == new_tokens - 1:
            break
        logits = runner.advance(tokens)
    return [
        Continuation(tuple(ids), "stop" if ended else "length")
        for ids, ended in zip(added, finished, strict=True)
    ]
