"""All ranks of an artifact on this machine: a process each, fed with the same tokens."""

from __future__ import annotations

import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.error_reports import error_from_json
from convert.errors import RunnerCrashedError, TricastError
from targets.generation_settings import longest_sequence, stop_ids
from targets.ranks.description import read_description
from targets.ranks.frames import Header, receive, send
from targets.runner import Runner

ROOT = Path(__file__).resolve().parents[2]
SECONDS_TO_STOP = 5.0
SECONDS_TO_FALL = 2.0
"""How long to wait for the other ranks' last words once one has failed."""

_TAIL_LINES = 8


class RanksRunner(Runner):
    """One sequence, or a left-padded batch; the logits are rank 0's.

    Args:
        artifact: Folder with ``tensor_parallel.json``.
        program: Module that runs one rank; see `targets.ranks.serving`.
        threads: CPU threads of all ranks together.
        arguments: Of the program, besides those that every rank program has.

    Raises:
        RunnerCrashedError: A rank cannot be started, or the runtime refuses its files.
    """

    def __init__(
        self, artifact: Path, program: str, *, threads: int, arguments: Sequence[str] = ()
    ) -> None:
        self.stop_ids = stop_ids(artifact)
        self._program = program
        self._scratch = tempfile.TemporaryDirectory(prefix="tricast-")
        self._ranks: list[subprocess.Popen[bytes]] = []
        ranks = read_description(artifact).ranks
        common = [str(artifact.resolve()), "--serve", "--ranks", str(ranks)]
        common += ["--store", str(Path(self._scratch.name, "store"))]
        common += ["--threads", str(max(1, threads // ranks))]
        try:
            for rank in range(ranks):
                self._ranks.append(self._start(rank, [*common, *arguments]))
            ready = self._answers()[0][0]
        except BaseException:
            self.close()
            raise
        self.context = ready["context"] or longest_sequence(artifact)

    def reset(self) -> None:
        self._ask({})

    def feed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        return self._logits({"feed": _plain(ids)})

    def begin(self, prompts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        return self._logits({"begin": [_plain(prompt) for prompt in prompts]})

    def advance(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        return self._logits({"advance": _plain(tokens)})

    def close(self) -> None:
        for process in self._ranks:
            if process.stdin is not None:
                process.stdin.close()
        deadline = time.monotonic() + SECONDS_TO_STOP
        for process in self._ranks:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._ranks.clear()
        self._scratch.cleanup()

    def _start(self, rank: int, common: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._log(rank).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", self._program, *common, "--rank", str(rank)],
                # `-m` puts the working directory first on the path: the packages' own.
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                # An interruption is for the parent to pass on.
                start_new_session=True,
            )

    def _logits(self, command: Mapping[str, Any]) -> NDArray[np.float32]:
        header, payload = self._ask(command)
        logits: NDArray[np.float32] = np.frombuffer(payload, np.float32).reshape(header["shape"])
        return logits

    def _log(self, rank: int) -> Path:
        return Path(self._scratch.name, f"rank-{rank}.log")

    def _ask(self, command: Mapping[str, Any]) -> tuple[Header, bytes]:
        """Give all ranks a command; the answer of rank 0 when all have answered."""
        if not self._ranks:
            raise RunnerCrashedError("the ranks have ended", remedy="load the artifact again")
        for process in self._ranks:
            assert process.stdin is not None
            try:
                send(process.stdin.fileno(), command)
            except BrokenPipeError:
                break  # that it is gone shows in the answers
        return self._answers()[0]

    def _answers(self) -> list[tuple[Header, bytes]]:
        """One message of each rank.

        Raises:
            RunnerCrashedError: A rank failed; all have been ended.
            TricastError: The ranks refuse what was asked; likewise.
        """
        answers = self._collect(range(len(self._ranks)), None)
        if any(_failed(answer) for answer in answers.values()):
            waiting = [rank for rank in range(len(self._ranks)) if rank not in answers]
            answers |= self._collect(waiting, SECONDS_TO_FALL)
            error = self._failure(answers)
            self.close()
            raise error
        return [answer for _, answer in sorted(answers.items()) if answer is not None]

    def _collect(
        self, ranks: Sequence[int], seconds: float | None
    ) -> dict[int, tuple[Header, bytes] | None]:
        """A message of each rank, None from one that ended; up to the first failure or so long."""
        answers: dict[int, tuple[Header, bytes] | None] = {}
        with selectors.DefaultSelector() as selector:
            for rank in ranks:
                stream = self._ranks[rank].stdout
                assert stream is not None
                selector.register(stream, selectors.EVENT_READ, rank)
            while len(answers) < len(ranks):
                ready = selector.select(seconds)
                for key, _ in ready:
                    answers[key.data] = receive(key.fd)
                    selector.unregister(key.fileobj)
                failed = any(_failed(answer) for answer in answers.values())
                if not ready or (seconds is None and failed):
                    break
        return answers

    def _failure(self, answers: Mapping[int, tuple[Header, bytes] | None]) -> TricastError:
        """What the rank says that failed first: not one that merely lost another."""
        failed = [rank for rank, answer in sorted(answers.items()) if _failed(answer)]
        culprits = (rank for rank in failed if not _lost_another(answers[rank]))
        rank = next(culprits, failed[0])
        answer, count = answers[rank], len(self._ranks)
        if answer is not None:
            error = error_from_json(answer[0]["error"])
            if not isinstance(error, RunnerCrashedError):
                return error  # what was asked for is wrong, and every rank says so
            return RunnerCrashedError(f"rank {rank} of {count}: {error.what}", found=error.found)
        code = self._ranks[rank].wait()
        ending = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        text = self._log(rank).read_text(encoding="utf-8", errors="replace")
        return RunnerCrashedError(
            f"rank {rank} of {count} died ({ending})",
            found="\n    ".join(text.strip().splitlines()[-_TAIL_LINES:]) or "nothing printed",
        )


def _plain(ids: Sequence[int]) -> list[int]:
    """``ids`` as JSON takes them."""
    return [int(token) for token in ids]


def _failed(answer: tuple[Header, bytes] | None) -> bool:
    return answer is None or "error" in answer[0]


def _lost_another(answer: tuple[Header, bytes] | None) -> bool:
    return answer is not None and bool(answer[0].get("lost"))
