"""How long prompts and answers are: from a user's file, or even up to the longest."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import BrokenInputError, MissingFileError, UsageError
from targets.gaudi.options import GaudiOptions

Counts = NDArray[np.int64]

PROMPT, NEW = "prompt", "new"
MOST_TOKENS = 1 << 24
"""Of a prompt and its answer; counts of each length are held in memory."""

_LONGEST = 1 << 40


@dataclass(frozen=True)
class Lengths:
    """How often each length occurs; index n counts n tokens.

    Args:
        prompts: Requests by the tokens of their prompt, ``[longest prompt + 1]``.
        steps: Decoding steps by the tokens that the cache holds after them, ``[context + 1]``.
            The first new token needs no step of its own: the prefill gives it.
        note: What a user should know of the distribution; empty if nothing.
    """

    prompts: Counts
    steps: Counts
    note: str = ""


def lengths_for(options: GaudiOptions, prompt: int, new: int) -> Lengths:
    """The distribution that the options ask for.

    Args:
        prompt: Tokens of the longest prompt.
        new: Tokens of the longest answer.

    Raises:
        UsageError: More tokens than any model has positions for.
        MissingFileError: The file is not there.
        BrokenInputError: It is no list of lengths.
    """
    if prompt + new > MOST_TOKENS:
        raise UsageError(
            "there are no buckets for texts of this length",
            expected=f"prompt_tokens and new_tokens of at most {MOST_TOKENS:,} together",
            found=f"{prompt:,} and {new:,}",
            remedy="lower them in the recipe's options",
        )
    if options.lengths is None:
        return even_lengths(prompt, new)
    return count_lengths(read_lengths(options.lengths), prompt, new)


def even_lengths(prompt: int, new: int) -> Lengths:
    """Every length of a prompt from 1 to ``prompt`` equally often, with answers likewise."""
    prompts = np.ones(prompt + 1, np.int64)
    prompts[0] = 0
    # Of the answers, new - j have a step after which j new tokens are in the cache.
    survivors = np.arange(new, 0, -1, dtype=np.int64)
    survivors[0] = 0
    sums = np.concatenate([np.zeros(prompt, np.int64), np.cumsum(survivors)])
    sums = np.concatenate([sums, np.full(prompt, sums[-1])])
    steps = np.zeros(prompt + new + 1, np.int64)
    totals = np.arange(prompt + new)
    steps[: prompt + new] = sums[totals + prompt - 1] - np.where(
        totals > 0, sums[np.maximum(totals - 1, 0)], 0
    )
    steps[0] = 0
    return Lengths(prompts, steps)


def count_lengths(pairs: list[tuple[int, int]], prompt: int, new: int) -> Lengths:
    """Count requests of given lengths; what is longer than the longest is cut to it."""
    given = np.array(pairs, np.int64)
    cut = np.minimum(given, np.array([prompt, new]))
    prompts = np.bincount(cut[:, 0], minlength=prompt + 1).astype(np.int64)
    changes = np.zeros(prompt + new + 2, np.int64)
    np.add.at(changes, cut[:, 0] + 1, 1)
    np.add.at(changes, cut[:, 0] + cut[:, 1], -1)
    steps = np.cumsum(changes)[: prompt + new + 1]
    longer = int((given > cut).any(axis=1).sum())
    note = ""
    if longer:
        note = (
            f"{longer:,} of {len(pairs):,} requests of the lengths file are longer than "
            f"{prompt:,} and {new:,} tokens, and were counted as if cut"
        )
    return Lengths(prompts, steps, note)


def read_lengths(path: Path) -> list[tuple[int, int]]:
    """Pairs of the tokens of a prompt and of its answer.

    Either JSON lines, ``{"prompt": 200, "new": 50}``, or CSV with the columns ``prompt`` and
    ``new`` in its first line. Other keys and columns are ignored.

    Raises:
        MissingFileError: The file is not there or cannot be read.
        BrokenInputError: A line is neither, or a length is no whole number above 0.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MissingFileError(
            f"the lengths file {path} cannot be read",
            found=error.strerror,
            remedy="correct `lengths` in the options",
        ) from error
    except UnicodeDecodeError as error:
        raise _broken(path, 1, "text in UTF-8", str(error)) from error
    is_json = not text.strip() or text.lstrip().startswith("{")
    records = _json_lines(path, text) if is_json else _table(path, text)
    pairs = [
        (_length(path, line, record, PROMPT), _length(path, line, record, NEW))
        for line, record in records
    ]
    if not pairs:
        raise BrokenInputError(
            f"the lengths file {path} has no lengths",
            expected='a line such as {"prompt": 200, "new": 50} for each request',
            remedy="fill it, or leave out `lengths`",
        )
    return pairs


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _broken(path, number, "JSON", line[:60]) from error
        if not isinstance(record, dict):
            raise _broken(path, number, "a JSON object", line[:60])
        yield number, record


def _table(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    names = list(reader.fieldnames or ())
    if not {PROMPT, NEW} <= set(names):
        raise _broken(path, 1, f"the columns {PROMPT} and {NEW}, or JSON lines", str(names)[:60])
    for row in reader:
        numbers = {
            key: int(value) if value and value.strip().isdecimal() else value
            for key, value in row.items()
            if key in (PROMPT, NEW)
        }
        yield reader.line_num, numbers


def _length(path: Path, line: int, record: dict[str, Any], key: str) -> int:
    value = record.get(key)
    if type(value) is not int or not 1 <= value <= _LONGEST:
        raise _broken(path, line, f"{key}: a whole number of tokens above 0", repr(value)[:60])
    return value


def _broken(path: Path, line: int, expected: str, found: str) -> BrokenInputError:
    return BrokenInputError(
        f"line {line} of the lengths file {path} cannot be read",
        expected=expected,
        found=found,
        remedy="correct the file, or leave out `lengths`",
    )
