"""The exact size of every file of an artifact, laid out from a checkpoint that is here."""

from __future__ import annotations

from convert.checkpoint import Checkpoint, open_checkpoint
from convert.graph import parameters
from convert.planned_artifact import FileSize
from convert.preparation import open_source, prepare, resolve_encoding
from convert.recipe import Recipe
from targets import target


def laid_out_files(recipe: Recipe) -> tuple[tuple[FileSize, ...], ...]:
    """The files of each artifact of a recipe, in its order; no weight is read, nothing written.

    Returns:
        For each artifact its files but the manifest; none where their sizes depend on what a run
        measures of the model.

    Raises:
        TricastError: As a run does before it reads a weight.
    """
    assert recipe.model is not None
    checkpoint = open_checkpoint(recipe.model, revision=recipe.revision, adapters=recipe.lora)
    try:
        return _laid_out(checkpoint, recipe)
    finally:
        checkpoint.close()


def _laid_out(checkpoint: Checkpoint, recipe: Recipe) -> tuple[tuple[FileSize, ...], ...]:
    source = open_source(checkpoint)
    found: list[tuple[FileSize, ...]] = []
    for asked in recipe.artifacts:
        artifact = resolve_encoding(asked)
        if artifact.is_mix or "awq" in artifact.methods:
            found.append(())
            continue
        made = prepare(
            checkpoint,
            source,
            artifact,
            tokenizer=True,
            strict=False,
            imatrix=recipe.imatrix is not None,
        )
        measures = artifact.smooth_quant is not None or any(
            parameter.encoding is not None and parameter.encoding.input_bits is not None
            for parameter in parameters(made.model).values()
        )
        if measures or target(artifact.format).needs_observations(made.model, artifact.options):
            found.append(())
        else:
            found.append(tuple(FileSize(file.path, file.size) for file in made.layout.files))
    return tuple(found)
