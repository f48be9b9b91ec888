"""What AWQ divides the inputs of layers by: found beside the artifacts, or searched for now."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx_ir as ir

from convert.architectures import architecture_of
from convert.architectures.base import DecoderConfig
from convert.calibration_text import MOST_TOKENS, SEQUENCE_TOKENS, required_text
from convert.checkpoint import Checkpoint
from convert.errors import UsageError
from convert.progress import Reporter
from convert.recipe import Artifact
from convert.weights import Floats
from passes.awq import Awq, coarse_layers
from passes.calibration.execution import bytes_to_read
from passes.calibration.observations import tokens_digest
from passes.encodings.weighting import WeightableEncoding
from passes.quantize import Policy
from passes.smooth_quant import SmoothQuant
from passes.smoothing.balancing import balances
from passes.smoothing.division import InputDivision

METHOD = "awq"

_DECISIVE_PACKAGES = ("numpy", "numba", "tokenizers", "transformers")
_FORM = 1
"""Raised when the same checkpoint, text and encodings would give other divisors."""

_TEXT = "text"
"""Key of the file's metadata with the text's hash and how many tokens there were, as JSON."""

Encodings = Mapping[str, WeightableEncoding]


@dataclass(frozen=True)
class Balanced:
    """Divisors by name of a group of layers, and the text that they were found with."""

    divisors: Mapping[str, Floats]
    text_sha256: str
    tokens: int


Balance = Callable[[Encodings], "Balanced | None"]
"""Finds divisors for weights that are stored so; gives None where no text is wanted."""


@dataclass(frozen=True)
class Balancing:
    """What is done before weights are stored."""

    found: Balanced
    rewrite: Awq


def balancing(
    artifact: Artifact, build: Callable[[], ir.Model], policy: Policy, balance: Balance
) -> Balancing | None:
    """AWQ for an artifact whose method asks for it.

    Args:
        artifact: Names the method.
        build: Makes the float graph of the architecture.
        policy: How its weights will be stored.
        balance: Finds the divisors.

    Raises:
        UsageError: No linear layer is stored in 6 bits or less, or there is to be no text.
    """
    if METHOD not in artifact.methods:
        return None
    encodings = coarse_layers(build(), policy)
    if not encodings:
        raise UsageError(
            f"awq is for weights of 6 bits or less, and {artifact.folder} has no linear layers "
            "of so few",
            expected="an encoding such as int4, nf4 or q4_0",
            remedy="choose one of these, or leave out the method",
        )
    found = balance(encodings)
    if found is None:
        raise UsageError(
            "awq needs a text, and calibration is switched off",
            remedy="leave out the method, or --calibrate none",
        )
    return Balancing(found, Awq(found.divisors, policy))


def one_division(
    artifact: Artifact, smooth: SmoothQuant | None, balance: Awq | None
) -> InputDivision | None:
    """What divides the inputs of an artifact's layers, if anything does.

    Raises:
        UsageError: Both would.
    """
    if smooth is not None and balance is not None:
        raise UsageError(
            f"{artifact.folder} asks for awq, and has layers whose inputs are smoothed",
            expected="layers that are stored in 4 bits, or that take inputs of 8, not both",
            remedy="leave out the method, or set smooth_quant to none",
        )
    return smooth or balance


def find_or_balance(
    checkpoint: Checkpoint,
    config: DecoderConfig,
    digest: str,
    out: Path,
    encodings: Encodings,
    *,
    text: Path | None,
    reporter: Reporter,
) -> Balanced:
    """Divisors for the layers of ``checkpoint``, from the folder ``out`` or found and kept there.

    Args:
        config: That of the checkpoint, normalized.
        digest: Of the whole checkpoint.
        out: Folder of the artifacts.
        encodings: How each weight that counts will be stored, by name.
        text: The user's calibration text; None for the shipped one.

    Raises:
        UnsupportedTokenizerError: The checkpoint has no tokenizer to read a text with.
        UnsupportedError: The model cannot be run for calibration.
        MissingFileError: There is no such text.
        BrokenInputError: The model's own activations are not finite.
    """
    length = min(SEQUENCE_TOKENS, config.max_positions)
    read = required_text(checkpoint.folder, text, sequence_tokens=length, most_tokens=MOST_TOKENS)
    path = out / balanced_name(digest, tokens_digest(read.sequences), encodings)
    found = load(path)
    if found is not None:
        reporter.say(f"awq: {path.name} is there already")
        return found
    model = architecture_of(checkpoint.config).build(config, checkpoint.weights)
    tokens = sum(map(len, read.sequences))
    with reporter.transfer(f"awq on {tokens} tokens", bytes_to_read(model)) as advance:
        chosen = balances(model, read.sequences, encodings, advance)
    divisors = {name: each.divisors for name, each in chosen.items()}
    made = Balanced(divisors, read.sha256, tokens)
    save(path, made)
    return made


def balanced_name(digest: str, tokens: str, encodings: Encodings) -> str:
    """File name of divisors: the same exactly if they would be the same.

    Args:
        digest: Of the whole checkpoint.
        tokens: Digest of the calibration text's tokens.
        encodings: How weights will be stored.
    """
    versions = [metadata.version(package) for package in _DECISIVE_PACKAGES]
    stored = {name: encoding.name for name, encoding in encodings.items()}
    key = json.dumps([_FORM, digest, tokens, stored, versions], sort_keys=True)
    return f"awq-{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"


def save(path: Path, balanced: Balanced) -> None:
    """Write a file, which appears under its name only when it is complete."""
    from safetensors.numpy import save as to_bytes

    described = {_TEXT: json.dumps([balanced.text_sha256, balanced.tokens])}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(to_bytes(dict(balanced.divisors), described))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path) -> Balanced | None:
    """Read what `save` wrote; None if there is nothing, or nothing whole."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            text_sha256, tokens = json.loads((file.metadata() or {})[_TEXT])
            names = file.keys()
            divisors = {name: np.asarray(file.get_tensor(name), np.float32) for name in names}
            return Balanced(divisors, text_sha256, tokens)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
