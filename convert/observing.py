"""What a model was seen to do on a calibration text: found beside the artifacts, or seen now."""

from __future__ import annotations

import hashlib
import json
import os
from importlib import metadata
from pathlib import Path

from convert.architectures import architecture_of
from convert.architectures.base import DecoderConfig
from convert.calibration_batches import BatchRuns, forget_batches
from convert.calibration_text import (
    MOST_TOKENS,
    SEQUENCE_TOKENS,
    required_text,
    text_digest,
)
from convert.checkpoint import Checkpoint
from convert.errors import BrokenInputError
from convert.progress import Reporter
from convert.workers import THIS_PROCESS, Workers
from passes.calibration.batch_runs import merge_states
from passes.calibration.execution import bytes_to_read
from passes.calibration.observations import Observations, observe, observed, watchers
from passes.calibration.snapshots import Snapshots, identity_of

_DECISIVE_PACKAGES = ("numpy", "tokenizers", "transformers")
_FORM = 1
"""Raised when the same checkpoint and text would give other observations."""


def observations_name(digest: str, text: Path | None, most_tokens: int = MOST_TOKENS) -> str:
    """File name of observations: the same exactly if it would hold the same.

    Args:
        digest: Of the whole checkpoint.
        text: The user's calibration text; None for the shipped one.
        most_tokens: Of the text.

    Raises:
        MissingFileError: The text cannot be read.
    """
    versions = [metadata.version(package) for package in _DECISIVE_PACKAGES]
    key = json.dumps([_FORM, digest, text_digest(text), SEQUENCE_TOKENS, most_tokens, versions])
    return f"observations-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def find_or_observe(
    checkpoint: Checkpoint,
    config: DecoderConfig,
    digest: str,
    out: Path,
    *,
    text: Path | None,
    reporter: Reporter,
    most_tokens: int | None = None,
    restart: bool = False,
    workers: Workers = THIS_PROCESS,
) -> Observations:
    """What ``checkpoint`` does on a text, from the folder ``out`` or seen now and kept there.

    Args:
        config: That of the checkpoint, normalized.
        digest: Of the whole checkpoint.
        out: Folder of the artifacts.
        text: The user's calibration text; None for the shipped one.
        most_tokens: Of the text; None for `MOST_TOKENS`.
        restart: Begin anew what an interrupted run left.
        workers: Who runs a text of several batches.

    Raises:
        UnsupportedTokenizerError: The checkpoint has no tokenizer to read a text with.
        UnsupportedError: The model cannot be run for calibration.
        MissingFileError: There is no such text.
        BrokenInputError: The model's own activations are not finite.
    """
    most_tokens = most_tokens or MOST_TOKENS
    path = out / observations_name(digest, text, most_tokens)
    found = _found(path)
    if found is not None:
        reporter.say(f"calibrate: {path.name} is there already")
        return found
    if restart:
        _forget(path)
    runs = BatchRuns(workers, checkpoint, config, watchers)
    made = _observe(checkpoint, config, text, most_tokens, path, reporter, runs)
    out.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(made.to_json())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _forget(path)
    return made


def snapshot_path(observations: Path) -> Path:
    """Where a run keeps how far it is, until the observations are there."""
    return observations.with_name(f".{observations.stem}.snapshot")


def _forget(observations: Path) -> None:
    """Forget how far an earlier run came."""
    snapshot_path(observations).unlink(missing_ok=True)
    forget_batches(observations)


def _observe(
    checkpoint: Checkpoint,
    config: DecoderConfig,
    text: Path | None,
    most_tokens: int,
    path: Path,
    reporter: Reporter,
    runs: BatchRuns,
) -> Observations:
    """The file's name says which checkpoint and text it is of."""
    length = min(SEQUENCE_TOKENS, config.max_positions)
    read = required_text(checkpoint.folder, text, sequence_tokens=length, most_tokens=most_tokens)
    model = architecture_of(checkpoint.config).build(config, checkpoint.weights)
    title = f"calibrate on {sum(map(len, read.sequences))} tokens"
    batches = runs.apart(model, read.sequences)
    if batches:
        watching = watchers(model)
        merge_states(watching, runs.states(model, batches, path, title, reporter))
        return observed(model, watching, read.sequences, read.sha256)
    snapshot = snapshot_path(path)
    snapshots = Snapshots(snapshot, identity_of(model, snapshot.name, read.sequences))
    if snapshots.load() is not None:
        reporter.say("calibrate: going on where an interrupted run was")
    with reporter.transfer(title, bytes_to_read(model)) as advance:
        return observe(
            model,
            read.sequences,
            advance,
            text_sha256=read.sha256,
            snapshots=snapshots,
            scratch=snapshot.parent,
        )


def _found(path: Path) -> Observations | None:
    """Observations that an earlier run kept; None if there are none, or not whole ones."""
    try:
        return Observations.from_json(path.read_bytes())
    except (OSError, BrokenInputError):
        return None
