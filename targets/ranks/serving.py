"""One rank's side of the conversation with the process that runs them all.

Commands come in on standard input, and every one is answered on standard output: with logits by
rank 0, with nothing by the others, with what went wrong by any that fails.
"""

from __future__ import annotations

import argparse
import os
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.error_reports import error_to_json
from convert.errors import InterruptedRunError, TricastError
from targets.ranks.exchange import GlooExchange
from targets.ranks.frames import receive, send
from targets.runner import Runner


def rank_parser(program: str) -> argparse.ArgumentParser:
    """The arguments that every rank program has."""
    environment = os.environ
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}", description="Run one rank of a tensor-parallel model."
    )
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--rank", type=int, default=environment.get("RANK"))
    parser.add_argument("--ranks", type=int, default=environment.get("WORLD_SIZE"))
    parser.add_argument("--store", type=Path, help="a new file that all ranks can reach")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser


def serve(options: argparse.Namespace, load: Callable[[GlooExchange], Runner]) -> int:
    """Do what the parent says, until it closes.

    Args:
        options: Of `rank_parser`.
        load: Makes this rank's runner, connected with the others.

    Returns:
        The exit code.
    """
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    commands = _commands()
    exchange = None
    try:
        exchange = GlooExchange(options.rank, options.ranks, options.store)
        runner = load(exchange)
        send(answers, {"ready": True, "context": runner.context})
        while True:
            logits = _carry_out(commands.get(), runner)
            if logits is not None and options.rank == 0:
                send(answers, {"shape": logits.shape}, logits.reshape(-1).view(np.uint8).data)
            else:
                send(answers, {})
    except TricastError as error:
        lost = exchange is not None and exchange.lost
        send(answers, {"error": error_to_json(error), "lost": lost})
        return error.exit_code


def _carry_out(command: Mapping[str, Any], runner: Runner) -> NDArray[np.float32] | None:
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
