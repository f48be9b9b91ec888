"""Whether a run has room on this machine, asked before it computes anything for hours."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from convert.architectures.base import DecoderConfig
from convert.artifact import bytes_on_disk, partial_folder
from convert.calibration_cost import values_memory
from convert.checkpoint import Checkpoint
from convert.errors import DiskFullError, OutOfMemoryError
from convert.preparation import Prepared, stored_graph
from convert.recipe import NO_TEXT, Artifact, Recipe
from convert.weighting import SAMPLE_TOKENS
from golden.memory import available_memory
from passes.calibration.execution import BATCH_TOKENS
from passes.quantize import coverage
from targets.base import Source

_CHUNKS_HELD = 4
"""Chunks of source that a thread holds at most while a text is multiplied with them."""


def require_room(
    checkpoint: Checkpoint,
    source: Source,
    recipe: Recipe,
    artifacts: Sequence[Artifact],
    out: Path,
    in_flight: int,
) -> None:
    """Refuse a run that cannot come to its end here.

    Args:
        checkpoint: The model.
        source: The same as targets see it.
        recipe: Says which texts are run.
        artifacts: Still to be made, their encodings resolved.
        out: Folder of the artifacts.
        in_flight: Bytes of source in work at once.

    Raises:
        OutOfMemoryError: There is less free memory than chunks and texts take.
        DiskFullError: There is less free disk than the weights of an artifact take that is computed
            for long before its files are laid out, which asks again.
    """
    _require_memory(source.config, recipe, artifacts, in_flight * _CHUNKS_HELD)
    slow = [artifact for artifact in artifacts if artifact.methods]
    if slow:
        _require_disk(checkpoint, source.config, recipe, slow, out)


def require_space(out: Path, prepared: Sequence[Prepared]) -> None:
    """Refuse artifacts that are laid out and do not fit on the disk.

    What an interrupted run left counts as room: it is used, or removed.

    Raises:
        DiskFullError: They do not.
    """
    needed = sum(item.nbytes for item in prepared)
    left = sum(bytes_on_disk(partial_folder(out, item.artifact.folder)) for item in prepared)
    free = left + shutil.disk_usage(out).free
    if needed > free:
        raise DiskFullError(
            f"the artifacts do not fit on the disk of {out}",
            expected=f"{needed:,} bytes free",
            found=f"{free:,} bytes free",
            remedy="free some space, choose another --out, or convert fewer artifacts at once",
        )


def _require_memory(
    config: DecoderConfig, recipe: Recipe, artifacts: Sequence[Artifact], chunks: int
) -> None:
    texts = 0
    if recipe.calibrate != NO_TEXT:
        methods = any(artifact.methods or artifact.is_mix for artifact in artifacts)
        widest = max(config.ffn, config.hidden) if methods else 0
        texts = values_memory(config, BATCH_TOKENS if methods else SAMPLE_TOKENS, widest)
    needed, free = chunks + texts, available_memory()
    if needed > free:
        raise OutOfMemoryError(
            "the conversion needs more memory than is free",
            expected=f"{needed:,} bytes, {texts:,} of them for texts that run through the model",
            found=f"{free:,} bytes",
            remedy="free some memory, allow less with --memory, use fewer --threads, or leave out "
            "texts with --calibrate none",
        )


def _require_disk(
    checkpoint: Checkpoint,
    config: DecoderConfig,
    recipe: Recipe,
    artifacts: Sequence[Artifact],
    out: Path,
) -> None:
    needed = free = 0
    for artifact in artifacts:
        graph = stored_graph(
            checkpoint.config,
            config,
            checkpoint.weights,
            artifact,
            strict=False,
            imatrix=recipe.imatrix is not None,
        )
        needed += sum(tensor.nbytes for tensor in coverage(graph))
        free += bytes_on_disk(partial_folder(out, artifact.folder))
    free += shutil.disk_usage(out).free
    if needed > free:
        raise DiskFullError(
            f"the weights of the artifacts do not fit on the disk of {out}",
            expected=f"{needed:,} bytes free",
            found=f"{free:,} bytes free",
            remedy="free some space, choose another --out, or convert fewer artifacts at once",
        )
