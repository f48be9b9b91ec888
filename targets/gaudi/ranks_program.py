"""One rank of a Gaudi artifact on the CPU, for the process that runs them all.

Program: ``python -m targets.gaudi.ranks_program ARTIFACT --serve ...``; see
`targets.ranks.serving`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from targets.gaudi.run import GaudiRunner
from targets.ranks.description import read_description
from targets.ranks.exchange import GlooExchange
from targets.ranks.folders import rank_folder
from targets.ranks.serving import rank_parser, serve

PROGRAM = "targets.gaudi.ranks_program"


class RankRunner(GaudiRunner):
    """The programs of one rank; their collectives run over the default group.

    Args:
        artifact: Folder of the whole artifact.
        rank: Which rank this is.
        exchange: Its connection.
        threads: Threads of torch.
        dtype: What to compute in; None for the artifact's own, by its own programs.
    """

    def __init__(
        self,
        artifact: Path,
        rank: int,
        exchange: GlooExchange,
        *,
        threads: int,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._exchange = exchange
        shard = read_description(artifact).shard(rank)
        super().__init__(artifact / rank_folder(rank), threads=threads, dtype=dtype, shard=shard)

    def _step(self, ids: Tensor, bucket: int) -> Tensor:
        with self._exchange.noticing_loss():
            return super()._step(ids, bucket)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one rank; the exit code."""
    parser = rank_parser(PROGRAM)
    parser.add_argument("--float32", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)

    def load(exchange: GlooExchange) -> RankRunner:
        dtype = torch.float32 if options.float32 else None
        return RankRunner(
            options.artifact, options.rank, exchange, threads=options.threads, dtype=dtype
        )

    return serve(options, load)


if __name__ == "__main__":
    sys.exit(main())
