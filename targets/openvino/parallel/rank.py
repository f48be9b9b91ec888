"""One rank of a model: `python -m targets.openvino.parallel.rank ARTIFACT --prompt TEXT`.

Started once for each rank, by torchrun (see the artifact's launch.sh) or with --rank, --ranks and
--store. Every rank reads only its own files, sees the same tokens and computes the same logits, so
that they need not agree on the next token.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.errors import TricastError, UsageError
from targets.openvino.parallel.collectives import operators
from targets.openvino.profile import COUNTING, table, time_by_kind
from targets.openvino.run import OpenVinoRunner
from targets.ranks.exchange import GlooExchange
from targets.ranks.folders import rank_folder
from targets.ranks.serving import rank_parser, serve


class RankRunner(OpenVinoRunner):
    """The IR of one rank, connected with the others.

    Args:
        artifact: Folder of the whole artifact; the tokenizer lies there.
        rank: Which rank this is.
        exchange: Its connection.
    """

    def __init__(
        self,
        artifact: Path,
        rank: int,
        exchange: GlooExchange,
        *,
        threads: int,
        overrides: dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            artifact / rank_folder(rank),
            threads=threads,
            overrides=overrides,
            extensions=operators(exchange),
        )
        self._artifact = artifact

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids``; the ids themselves if the artifact carries no tokenizer."""
        if self._tokenizer is None:
            return " ".join(map(str, ids))
        return str(self._tokenizer.decode(list(ids)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one rank; the exit code."""
    options = _parser().parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    try:
        if options.serve:
            return serve(options, lambda exchange: _load(options, exchange))
        _generate(options)
    except TricastError as error:
        sys.stderr.write(f"rank {options.rank}: {error}\n")
        return error.exit_code
    return 0


def _generate(options: argparse.Namespace) -> None:
    """Continue a prompt greedily; rank 0 prints it, and how long the tokens took."""
    exchange = GlooExchange(options.rank, options.ranks, options.store)
    runner = _load(options, exchange)
    ids = options.ids or (runner.tokenize(options.prompt) if options.prompt else None)
    if not ids:
        raise UsageError(
            "nothing to continue",
            expected="--ids, or --prompt and an artifact that carries a tokenizer",
        )
    runner.reset()
    times, generated = [time.perf_counter()], []
    spent: Counter[str] = Counter()
    last = runner.feed(ids)[-1]
    for _ in range(options.new_tokens):
        generated.append(int(last.argmax()))
        times.append(time.perf_counter())
        last = runner.feed(generated[-1:])[-1]
        if options.profile:
            spent += time_by_kind(runner.operators())
    exchange.close()
    if options.rank == 0:
        sys.stdout.write(f"{runner.decode(generated)}\n")
        sys.stderr.write(f"{_timing(np.diff(times) * 1e3)}\n")
        if options.profile:
            sys.stderr.write(f"{table(spent, options.new_tokens)}\n")


def _timing(steps: NDArray[np.float64]) -> str:
    """Milliseconds to the first token, and to each after it."""
    later = f", then {steps[1:].mean():.1f} ms each" if len(steps) > 1 else ""
    return f"{len(steps)} tokens, the first in {steps[0]:.1f} ms{later}"


def _load(options: argparse.Namespace, exchange: GlooExchange) -> RankRunner:
    return RankRunner(
        options.artifact,
        options.rank,
        exchange,
        threads=options.threads,
        overrides=json.loads(options.overrides) | (COUNTING if options.profile else {}),
    )


def _parser() -> argparse.ArgumentParser:
    parser = rank_parser("targets.openvino.parallel.rank")
    parser.add_argument("--prompt", help="text to continue")
    parser.add_argument("--ids", type=int, nargs="+", help="token ids to continue")
    parser.add_argument("--new-tokens", type=_positive, default=64)
    parser.add_argument(
        "--profile", action="store_true", help="say what takes the time of decoding"
    )
    parser.add_argument("--overrides", default="{}", help=argparse.SUPPRESS)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return number


if __name__ == "__main__":
    sys.exit(main())
