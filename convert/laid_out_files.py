"""The exact size of every file of an artifact, laid out from a checkpoint that is here."""

from __future__ import annotations

from convert.checkpoint import Checkpoint, open_checkpoint
from convert.graph import parameters
from convert.planned_artifact import FileSize
from convert.preparation import open_source, prepare, resolve_encoding, stored_graph
from convert.recipe import Artifact, Recipe
from targets import target
from targets.base import Source


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
    source, imatrix = open_source(checkpoint), recipe.imatrix is not None

    def files(asked: Artifact) -> tuple[FileSize, ...]:
        artifact = resolve_encoding(asked)
        if artifact.is_mix or _measures(checkpoint, source, artifact, imatrix=imatrix):
            return ()
        made = prepare(checkpoint, source, artifact, tokenizer=True, strict=False, imatrix=imatrix)
        return tuple(FileSize(file.path, file.size) for file in made.layout.files)

    return tuple(map(files, recipe.artifacts))


def _measures(checkpoint: Checkpoint, source: Source, artifact: Artifact, *, imatrix: bool) -> bool:
    """Whether files hold what a run measures: ranges of inputs, or divisors that go into layers."""
    if artifact.smooth_quant is not None or "awq" in artifact.methods:
        return True
    config, weights = source.config, checkpoint.weights
    graph = stored_graph(
        checkpoint.config, config, weights, artifact, strict=False, imatrix=imatrix
    )
    stored = (parameter.encoding for parameter in parameters(graph).values())
    if any(one is not None and one.input_bits is not None for one in stored):
        return True
    return target(artifact.format).needs_observations(graph, artifact.options)
