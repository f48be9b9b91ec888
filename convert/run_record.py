"""What a run was told beyond the recipe's entry for an artifact, kept for who repeats it."""

from __future__ import annotations

from pathlib import Path

from convert.hashing import hash_file
from convert.manifest import RunRecord
from convert.preparation import resolve_encoding
from convert.recipe import Artifact, Recipe


def run_record(recipe: Recipe, made: Artifact, *, tokenizer: bool, strict: bool) -> RunRecord:
    """The record of one artifact of a run.

    Args:
        made: The artifact as it was made: with its encoding, and with those of its mix.
        tokenizer: Whether the tokenizer was carried over.
        strict: Whether fallback encodings were refused.
    """
    text, prompts = recipe.calibration_file, recipe.prompts
    return RunRecord(
        tokenizer=tokenizer,
        strict=strict,
        calibrate=recipe.calibrate if text is None else Path(text).name,
        calibrate_sha256=_sha256(text),
        calibration_tokens=recipe.calibration_tokens,
        prompts=None if prompts is None else Path(prompts).name,
        prompts_sha256=_sha256(prompts),
        lora=tuple(Path(folder).expanduser().resolve().name for folder in recipe.lora),
        asked=_asked(recipe, made) if made.is_mix else None,
    )


def _asked(recipe: Recipe, made: Artifact) -> Artifact | None:
    same = (one for one in recipe.artifacts if resolve_encoding(one).folder == made.folder)
    return next(same, None)


def _sha256(file: str | None) -> str | None:
    """None for a file that was named but never needed, and is not there."""
    path = None if file is None else Path(file)
    return hash_file(path.parent, path).sha256 if path is not None and path.is_file() else None
