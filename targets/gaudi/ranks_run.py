"""All ranks of a Gaudi artifact on this machine, with the artifact's tokenizer."""

from __future__ import annotations

from pathlib import Path

from targets.ranks.runner import RanksRunner
from targets.tokenized_runner import TokenizedRunner

PROGRAM = "targets.gaudi.ranks_program"


class GaudiRanksRunner(RanksRunner, TokenizedRunner):
    """A process for each rank, exchanging over gloo.

    Args:
        artifact: Folder with ``tensor_parallel.json``.
        threads: CPU threads of all ranks together.
        float32: Whether to compute in float32, by programs made for it, instead of by the
            artifact's own.

    Raises:
        RunnerCrashedError: A rank cannot be started, or its programs are not for its weights.
    """

    def __init__(self, artifact: Path, *, threads: int, float32: bool = False) -> None:
        TokenizedRunner.__init__(self, artifact)
        arguments = ["--float32"] if float32 else []
        RanksRunner.__init__(self, artifact, PROGRAM, threads=threads, arguments=arguments)
