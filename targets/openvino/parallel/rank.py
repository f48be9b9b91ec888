"""One rank of a model: `python -m targets.openvino.parallel.rank ARTIFACT --prompt TEXT`.

Started once for each rank, by torchrun (see the artifact's launch.sh) or with --rank, --ranks and
--store. Every rank reads only its own files, sees the same tokens and computes the same logits, so
that they need not agree on the next token.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import InterruptedRunError, TricastError, UsageError
from targets.openvino.parallel.collectives import operators
from targets.openvino.parallel.exchange import GlooExchange
from targets.openvino.parallel.frames import receive, send
from targets.openvino.profile import COUNTING, table, time_by_kind
from targets.openvino.run import OpenVinoRunner
from targets.ranks.description import rank_folder


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
            return _serve(options)
        _generate(options)
    except TricastError as error:
        sys.stderr.write(f"rank {options.rank}: {error}\n")
        return error.exit_code
    return 0


def _serve(options: argparse.Namespace) -> int:
    """Do what the parent says on standard input, until it closes."""
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    commands = _commands()
    exchange = None
    try:
        exchange = GlooExchange(options.rank, options.ranks, options.store)
        runner = _load(options, exchange)
        send(answers, {"ready": True})
        while True:
            command = commands.get()
            logits = _carry_out(command, runner)
            if logits is not None and options.rank == 0:
                send(answers, {"shape": logits.shape}, logits.reshape(-1).view(np.uint8).data)
            else:
                send(answers, {})
    except TricastError as error:
        lost = exchange is not None and exchange.lost
        send(answers, {"error": {"what": error.what, "found": error.found}, "lost": lost})
        return error.exit_code


def _carry_out(command: Mapping[str, Any], runner: RankRunner) -> NDArray[np.float32] | None:
    """The logits that a command asks for; one without a verb asks to forget the sequence."""
    if "begin" in command:
        return np.ascontiguousarray(runner.begin(command["begin"]))
    if "advance" in command:
        return np.ascontiguousarray(runner.advance(command["advance"]))
    if "feed" in command:
        return np.ascontiguousarray(runner.feed(command["feed"]))
    runner.reset()
    return None


def _commands() -> queue.Queue[dict[str, Any]]:
    """What the parent says. When it ends, so does this process, whatever it is waiting for."""
    commands: queue.Queue[dict[str, Any]] = queue.Queue()

    def listen() -> None:
        while message := receive(0):
            commands.put(message[0])
        os._exit(InterruptedRunError.exit_code)

    threading.Thread(target=listen, daemon=True).start()
    return commands


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
    environment = os.environ
    parser = argparse.ArgumentParser(
        prog="python -m targets.openvino.parallel.rank",
        description="Run one rank of a tensor-parallel model.",
    )
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--rank", type=int, default=environment.get("RANK"))
    parser.add_argument("--ranks", type=int, default=environment.get("WORLD_SIZE"))
    parser.add_argument("--store", type=Path, help="a new file that all ranks can reach")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--prompt", help="text to continue")
    parser.add_argument("--ids", type=int, nargs="+", help="token ids to continue")
    parser.add_argument("--new-tokens", type=_positive, default=64)
    parser.add_argument(
        "--profile", action="store_true", help="say what takes the time of decoding"
    )
    parser.add_argument("--overrides", default="{}", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return number


if __name__ == "__main__":
    sys.exit(main())
