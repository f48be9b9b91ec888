"""Which shapes to capture graphs for: few, and with little padding for the texts expected.

A prompt runs in the smallest bucket that holds it, a decoding step in the smallest number of KV
blocks. Given how often each size occurs, `choose` finds the best buckets exactly, by dynamic
programming over candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.architectures.base import DecoderConfig
from targets.gaudi.lengths import Lengths, lengths_for
from targets.gaudi.memory import BLOCK
from targets.gaudi.options import GaudiOptions
from targets.gaudi.sums import sum_at_most

MOST_PREFILL_GRAPHS = 8
MOST_DECODE_GRAPHS = 32
MOST_DECODE_GRAPHS_A_BATCH = 8
MOST_STATIC_PROGRAMS = 4

_STATIC_STEP = 16
_MOST_CANDIDATES = 256
_OCCUPANCIES = 4
"""Numbers of sequences that stand for all those which run in one size of batch."""

_NEGLIGIBLE = 1e-12

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class DecodeBuckets:
    """The numbers of KV blocks, of all sequences together, that a batch is decoded with.

    Args:
        batch: Sequences.
        blocks: Ascending; the last holds every sequence at its longest.
        waste: Share of the blocks read that is padding, with sequences that are independent of
            each other, and any number of them for which this is the smallest batch.
    """

    batch: int
    blocks: tuple[int, ...]
    waste: float


@dataclass(frozen=True)
class Buckets:
    """Shapes for vLLM on Gaudi.

    Args:
        prefill: Tokens of a prompt, ascending; prompts are computed one by one.
        prefill_waste: Share of the tokens computed that is padding.
        decode: By batch size, ascending; the last is the full batch.
        longest: Tokens of prompt and answer that a sequence may have.
        note: What a user should know of the distribution; empty if nothing.
    """

    prefill: tuple[int, ...]
    prefill_waste: float
    decode: tuple[DecodeBuckets, ...]
    longest: int
    note: str = ""

    def lines(self) -> list[str]:
        """The buckets in words."""
        prefill = _counted(len(self.prefill), "prefill bucket")
        decode = _counted(sum(len(each.blocks) for each in self.decode), "decode bucket")
        largest = self.decode[-1]
        sequences = _counted(largest.batch, "sequence")
        blocks = _counted(largest.blocks[-1], "block")
        return [
            f"{prefill} of {', '.join(map(str, self.prefill))} tokens: "
            f"{100 * self.prefill_waste:.1f} % padding expected",
            f"{decode} of up to {sequences} and {blocks}: "
            f"{100 * largest.waste:.1f} % padding expected in the largest batch",
            *([self.note] if self.note else []),
        ]


def choose_buckets(config: DecoderConfig, options: GaudiOptions) -> Buckets:
    """Buckets for the texts that the options describe.

    Memory sets no further limit: a deployment whose plan fits has room for the longest prompt,
    for a full batch at its longest, and so for every bucket.

    Raises:
        BrokenInputError: The file of lengths cannot be read.
    """
    prompt, context = options.longest_prompt(config), options.context(config)
    lengths = lengths_for(options, prompt, context - prompt)
    longest = min(config.max_positions, _blocks(context) * BLOCK)
    step = BLOCK * -(-_blocks(prompt) // _MOST_CANDIDATES)
    largest = min(_blocks(prompt) * BLOCK, longest)
    sizes = np.append(np.arange(step, largest, step), largest)
    prefill, padded = choose(_at_most(lengths.prompts, sizes), sizes, MOST_PREFILL_GRAPHS)
    return Buckets(
        prefill=prefill,
        prefill_waste=_waste(_mean(lengths.prompts), padded),
        decode=_decode_buckets(lengths, options.batch, _blocks(context)),
        longest=longest,
        note=lengths.note,
    )


def static_buckets(options: GaudiOptions, config: DecoderConfig) -> tuple[int, ...]:
    """Tokens of the prompts that static programs are exported for: few, ascending.

    The last is the longest prompt itself, so that it fits every cache.

    Raises:
        BrokenInputError: The file of lengths cannot be read.
    """
    prompt = options.longest_prompt(config)
    lengths = lengths_for(options, prompt, options.context(config) - prompt)
    step = _STATIC_STEP * -(-prompt // (_STATIC_STEP * _MOST_CANDIDATES))
    sizes = np.append(np.arange(step, prompt, step), prompt)
    return choose(_at_most(lengths.prompts, sizes), sizes, MOST_STATIC_PROGRAMS)[0]


def choose(at_most: Weights, sizes: NDArray[np.int64], count: int) -> tuple[tuple[int, ...], float]:
    """The buckets with the least expected size, by dynamic programming.

    Args:
        at_most: Share of what occurs that is at most as large as each size, ``[n]``; the last
            is 1.
        sizes: Candidates, ascending, ``[n]``; the last is always chosen.
        count: Buckets at most. Fewer are chosen where more would not help.

    Returns:
        The buckets, ascending, and the expected size of the bucket that is used.
    """
    # cost[i, j]: what falls between candidates i and j runs at the size of j; row 0 is "none".
    below = np.concatenate([[0.0], at_most])
    cost = (below[None, 1:] - below[:, None]) * sizes[None, :]
    cost[np.tril_indices(len(below), -1, len(sizes))] = np.inf
    best, origins = cost[0], [np.zeros(len(sizes), np.int64)]
    for _ in range(1, min(count, len(sizes))):
        through = np.concatenate([[np.inf], best])[:, None] + cost
        origin = through.argmin(axis=0)
        improved = through[origin, np.arange(len(sizes))]
        if improved[-1] >= best[-1] - _NEGLIGIBLE * sizes[-1]:
            break
        best = np.minimum(best, improved)
        origins.append(np.where(best == improved, origin, -1))
    return _trace(origins, sizes), float(best[-1])


def _trace(origins: list[NDArray[np.int64]], sizes: NDArray[np.int64]) -> tuple[int, ...]:
    """Follow the choices back from the largest size."""
    chosen, at = [], len(sizes)
    for origin in reversed(origins):
        if origin[at - 1] < 0:
            continue
        chosen.append(int(sizes[at - 1]))
        at = int(origin[at - 1])
        if at == 0:
            break
    return tuple(reversed(chosen))


def _decode_buckets(lengths: Lengths, batch: int, most: int) -> tuple[DecodeBuckets, ...]:
    """Buckets for batches of 1, 2, 4, ... and the full one."""
    batches = sorted({1 << power for power in range(batch.bit_length())} | {batch})
    each = max(2, min(MOST_DECODE_GRAPHS_A_BATCH, MOST_DECODE_GRAPHS // len(batches)))
    one = _blocks_of_a_step(lengths, most)
    return tuple(
        _decode_bucket(one, smaller, size, each)
        for smaller, size in zip([0, *batches], batches, strict=False)
    )


def _decode_bucket(one: Weights, smaller: int, batch: int, count: int) -> DecodeBuckets:
    """Buckets for more than ``smaller`` sequences and up to ``batch``, equally often each."""
    largest = batch * (len(one) - 1)
    step = -(-largest // _MOST_CANDIDATES)
    # Each sequence has a block, so there are at least as many as sequences.
    sizes = np.append(np.arange(max(step, batch), largest, step), largest)
    numbers = np.unique(np.linspace(smaller + 1, batch, _OCCUPANCIES).round().astype(np.int64))
    at_most = np.mean([sum_at_most(one, int(number), sizes) for number in numbers], axis=0)
    at_most[-1] = 1.0
    chosen, padded = choose(at_most, sizes, count)
    return DecodeBuckets(batch, chosen, _waste(_mean(one) * float(numbers.mean()), padded))


def _blocks_of_a_step(lengths: Lengths, most: int) -> Weights:
    """Share of the decoding steps of one sequence by the blocks that they read, ``[most + 1]``."""
    shares = np.zeros(most + 1)
    np.add.at(shares, -(-np.arange(len(lengths.steps)) // BLOCK), lengths.steps)
    if not shares.sum():
        # Answers of a single token need no step; what is asked for besides is the longest.
        shares[most] = 1
    normed: Weights = shares / shares.sum()
    return normed


def _at_most(counts: NDArray[np.generic], sizes: NDArray[np.int64]) -> Weights:
    """Share of ``counts`` (by size) up to each of ``sizes``; the last is 1 by definition."""
    sums = np.cumsum(counts.astype(np.float64))
    shares: Weights = sums[np.minimum(sizes, len(sums) - 1)] / sums[-1]
    shares[-1] = 1.0
    return shares


def _mean(counts: NDArray[np.generic]) -> float:
    weights = counts.astype(np.float64)
    return float(weights @ np.arange(len(weights)) / weights.sum())


def _waste(used: float, padded: float) -> float:
    return max(0.0, 1 - used / padded)


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def _blocks(tokens: int) -> int:
    return -(-tokens // BLOCK)
