"""The recording of the original that a run's artifacts are compared with: found again, or made."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path

from convert.checkpoint import Checkpoint
from convert.errors import MissingFileError, RecipeError, VerificationError
from convert.hashing import hash_file
from convert.manifest import GateRecord, SourceRecord
from convert.progress import Reporter
from convert.recording_parts import PartRecording, parts_for, record_parts
from convert.workers import THIS_PROCESS, Workers
from golden import memory
from golden.gate import record_golden
from passes.calibration.blas import arithmetic

_DECISIVE_PACKAGES = ("torch", "transformers", "tokenizers")


def recording_name(digest: str, prompts: Path | None, *, tokenizer: bool) -> str:
    """File name of a recording: the same exactly if it would hold the same.

    Args:
        digest: Of the whole checkpoint.
        prompts: The user's prompts; None for the shipped ones.
        tokenizer: Whether the tokenizer is recorded.

    Raises:
        RecipeError: The prompts cannot be read.
    """
    try:
        text = None if prompts is None else hashlib.sha256(prompts.read_bytes()).hexdigest()
    except OSError as error:
        raise RecipeError(f"cannot read the prompts {prompts}", found=str(error)) from error
    versions = [metadata.version(package) for package in _DECISIVE_PACKAGES]
    key = json.dumps([digest, text, tokenizer, versions])
    return f"golden-{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"


def find_or_record(
    checkpoint: Checkpoint,
    record: SourceRecord,
    out: Path,
    *,
    prompts: Path | None,
    tokenizer: bool,
    threads: int,
    reporter: Reporter,
    workers: Workers = THIS_PROCESS,
) -> Path:
    """The recording of ``checkpoint`` in the folder ``out``, made now if it is not there.

    Args:
        workers: Who runs the prompts, if there are several. They must see the folders of the
            checkpoint and of the recording where this process does.

    Raises:
        OutOfMemoryError: The original does not fit into memory.
        TricastError: The original cannot be run.
    """
    path = out / recording_name(record.digest, prompts, tokenizer=tokenizer)
    if path.is_file():
        reporter.say(f"record the original: {path.name} is there already")
        return path
    with reporter.stage("record the original"):
        checkpoint.bring_here()
        # Without a tokenizer prompts are drawn from the model, each with the others.
        parts = parts_for(workers, prompts) if tokenizer else ()
        adapters = tuple(adapter.folder for adapter in checkpoint.adapters)
        if parts:
            run = PartRecording(
                checkpoint.folder.resolve(),
                path.resolve(),
                None if prompts is None else prompts.read_bytes(),
                threads,
                record.label,
                record.digest,
                adapters,
                layered=not memory.fits(checkpoint.folder),
                arithmetic=arithmetic(),
            )
            record_parts(run, parts, workers, reporter.say)
            return path
        record_golden(
            checkpoint.folder,
            path,
            prompts=prompts,
            threads=threads,
            label=record.label,
            digest=record.digest,
            tokenizer=tokenizer,
            adapters=adapters,
        )
    return path


def recording_beside(artifact: Path, gate: GateRecord) -> Path:
    """The recording that ``convert run`` left beside an artifact, as its manifest knows it.

    Raises:
        MissingFileError: It is not there, or the artifact was never compared.
        VerificationError: It is another one by now.
    """
    path = artifact.resolve().parent / (gate.golden or "golden")
    if gate.golden is None or not path.is_file():
        raise MissingFileError(
            "there is no recording of the original to compare with",
            expected=f"{path.name} beside the artifact, or --golden FILE",
            remedy="record one with `convert golden record`, or check hashes only with --no-gate",
        )
    found = hash_file(path.parent, path).sha256
    if found != gate.golden_sha256:
        raise VerificationError(
            f"{path.name} is not the recording that the artifact was checked with",
            expected=f"SHA-256 {gate.golden_sha256}",
            found=found,
            remedy="give the right one with --golden",
        )
    return path
