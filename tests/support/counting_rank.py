"""A rank program that computes nothing: its logits say what it was fed, and it fails when asked."""

from __future__ import annotations

import os
import sys

import numpy as np

from convert.errors import RunnerCrashedError, UnsupportedError
from targets.ranks.serving import rank_parser, serve
from targets.runner import Runner

REFUSED, BROKEN, DEADLY = 90, 91, 92
"""Tokens at which all ranks refuse, rank 1 breaks, and rank 1 dies."""


class CountingRunner(Runner):
    """The sum over the ranks of the tokens so far is every token's only logit."""

    context = 7

    def __init__(self, rank, exchange):
        self.rank, self.exchange, self.sum = rank, exchange, 0

    def reset(self):
        self.sum = 0

    def feed(self, ids):
        if REFUSED in ids:
            raise UnsupportedError("no such token", expected="another", remedy="ask otherwise")
        if BROKEN in ids and self.rank == 1:
            raise RunnerCrashedError("it broke", found="a fault")
        if DEADLY in ids and self.rank == 1:
            sys.stderr.write("last words\n")
            sys.stderr.flush()
            os._exit(3)
        self.sum += sum(ids)
        sums = np.full((len(ids), 1), self.sum, np.float32)
        self.exchange.all_reduce(sums)
        return sums


def main():
    """Serve; print something, as a library might."""
    parser = rank_parser("tests.support.counting_rank")
    parser.add_argument("--greeting")
    options = parser.parse_args()

    def load(exchange):
        sys.stdout.write(f"{options.greeting}\n")
        sys.stdout.flush()
        return CountingRunner(options.rank, exchange)

    return serve(options, load)


if __name__ == "__main__":
    sys.exit(main())
