"""All ranks of an artifact on this machine, with the artifact's tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from targets.openvino.tokenizing import TokenizingRunner
from targets.ranks.runner import RanksRunner

PROGRAM = "targets.openvino.parallel.rank"


class OpenVinoRanksRunner(RanksRunner, TokenizingRunner):
    """A process of the CPU plugin for each rank.

    Args:
        artifact: Folder with ``tensor_parallel.json``.
        threads: CPU threads of all ranks together.
        overrides: Runtime options that replace those the artifact carries.

    Raises:
        RunnerCrashedError: A rank cannot be started, or the runtime refuses its files.
    """

    def __init__(
        self, artifact: Path, *, threads: int, overrides: Mapping[str, str] | None = None
    ) -> None:
        TokenizingRunner.__init__(self, artifact)
        arguments = ["--overrides", json.dumps(dict(overrides or {}))]
        RanksRunner.__init__(self, artifact, PROGRAM, threads=threads, arguments=arguments)
