"""What calibration measures of the inputs of linear layers: found beside the artifacts, or now."""

from __future__ import annotations

import hashlib
import json
import os
from importlib import metadata
from pathlib import Path

import numpy as np

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
from convert.progress import Reporter
from convert.smoothing import Alphas
from convert.workers import THIS_PROCESS, Workers
from passes.calibration.execution import bytes_to_read
from passes.calibration.observers import InputRange
from passes.smoothing.halves import halved, halved_bytes
from passes.smoothing.measuring import (
    Measured,
    Smoothed,
    measure,
    measured_apart,
    require_no_experts,
)

_DECISIVE_PACKAGES = ("numpy", "tokenizers", "transformers")
_FORM = 2
"""Raised when the same checkpoint, text and alphas would give other figures."""

_FIGURES = "figures"
"""Key of the file's metadata with all but the divisors, as JSON."""


def measured_name(
    digest: str, text: Path | None, alphas: Alphas, most_tokens: int = MOST_TOKENS
) -> str:
    """File name of what is measured: the same exactly if it would be the same.

    Args:
        digest: Of the whole checkpoint.
        text: The user's calibration text; None for the shipped one.
        alphas: To choose from.
        most_tokens: Of the text.

    Raises:
        MissingFileError: The text cannot be read.
    """
    versions = [metadata.version(package) for package in _DECISIVE_PACKAGES]
    described = [_FORM, digest, text_digest(text), alphas, SEQUENCE_TOKENS, most_tokens, versions]
    key = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]
    return f"inputs-{key}.safetensors"


def find_or_measure(
    checkpoint: Checkpoint,
    config: DecoderConfig,
    digest: str,
    out: Path,
    alphas: Alphas,
    *,
    text: Path | None,
    reporter: Reporter,
    most_tokens: int | None = None,
    workers: Workers = THIS_PROCESS,
) -> Measured:
    """What the layers of ``checkpoint`` read, from the folder ``out`` or measured and kept there.

    Args:
        config: That of the checkpoint, normalized.
        digest: Of the whole checkpoint.
        out: Folder of the artifacts.
        alphas: To choose from; none to leave inputs as they are.
        text: The user's calibration text; None for the shipped one.
        most_tokens: Of the text; None for `MOST_TOKENS`.
        workers: Who runs a text of several batches.

    Raises:
        UnsupportedTokenizerError: The checkpoint has no tokenizer to read a text with.
        UnsupportedError: The model cannot be run for calibration.
        MissingFileError: There is no such text.
        BrokenInputError: The model's own activations are not finite.
    """
    most_tokens = most_tokens or MOST_TOKENS
    path = out / measured_name(digest, text, alphas, most_tokens)
    found = load(path)
    if found is not None:
        reporter.say(f"calibrate: {path.name} is there already")
        return found
    made = _measure(checkpoint, config, alphas, text, most_tokens, path, reporter, workers)
    save(path, made)
    forget_batches(path)
    return made


def save(path: Path, measured: Measured) -> None:
    """Write a file, which appears under its name only when it is complete."""
    from safetensors.numpy import save as to_bytes

    figures = {
        "plain": measured.plain,
        "errors": measured.errors,
        "smoothed": {
            name: [each.alpha, each.within, each.error, each.weights]
            for name, each in measured.smoothed.items()
        },
        "text": [measured.text_sha256, measured.tokens],
    }
    divisors = {name: each.divisors for name, each in measured.smoothed.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(to_bytes(divisors, {_FIGURES: json.dumps(figures)}))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path) -> Measured | None:
    """Read what `save` wrote; None if there is nothing, or nothing whole."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            figures = json.loads((file.metadata() or {})[_FIGURES])
            text_sha256, tokens = figures["text"]
            return Measured(
                {name: InputRange(*within) for name, within in figures["plain"].items()},
                {name: float(error) for name, error in figures["errors"].items()},
                {
                    name: Smoothed(
                        alpha,
                        np.asarray(file.get_tensor(name), np.float32),
                        InputRange(*within),
                        error,
                        tuple(weights),
                    )
                    for name, (alpha, within, error, weights) in figures["smoothed"].items()
                },
                text_sha256,
                tokens,
            )
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError):
        return None


def _measure(
    checkpoint: Checkpoint,
    config: DecoderConfig,
    alphas: Alphas,
    text: Path | None,
    most_tokens: int,
    path: Path,
    reporter: Reporter,
    workers: Workers,
) -> Measured:
    length = min(SEQUENCE_TOKENS, config.max_positions)
    read = required_text(checkpoint.folder, text, sequence_tokens=length, most_tokens=most_tokens)
    model = architecture_of(checkpoint.config).build(config, checkpoint.weights)
    title = f"measure inputs of layers on {sum(map(len, read.sequences))} tokens"
    runs = BatchRuns(workers, checkpoint, config, halved, held=halved_bytes(model))
    batches = runs.apart(model, read.sequences)
    if batches:
        require_no_experts(model)
        states = runs.states(model, batches, path, title, reporter)
        return measured_apart(model, read.sequences, alphas, states, read.sha256)
    with reporter.transfer(title, bytes_to_read(model)) as advance:
        return measure(model, read.sequences, alphas, advance, read.sha256, path.parent)
