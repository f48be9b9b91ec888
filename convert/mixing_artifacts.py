"""Artifacts whose encodings are chosen by measurement, turned into ones that name them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from convert.checkpoint import Checkpoint
from convert.errors import UsageError
from convert.manifest import SourceRecord
from convert.mixing import Mix
from convert.preparation import Prepared, stored_graph
from convert.progress import Reporter
from convert.recipe import NO_TEXT, Artifact, Override, Recipe
from targets import target
from targets.base import Source

if TYPE_CHECKING:
    from convert.mixing_measure import Mixer


class Mixes:
    """Finds the mixes that artifacts of a recipe ask for.

    Args:
        recipe: Names the text that they are measured on, see `Recipe.calibrate`.
        checkpoint: The model.
        source: The same as targets see it.
        out: Folder of the artifacts, where sensitivities are kept.
        record: Hashes the checkpoint; called only if there is a mix.
        reporter: Told of what is measured, and of the mixes.
    """

    def __init__(
        self,
        recipe: Recipe,
        checkpoint: Checkpoint,
        source: Source,
        out: Path,
        record: Callable[[], SourceRecord],
        reporter: Reporter,
    ) -> None:
        self._recipe, self._checkpoint, self._source = recipe, checkpoint, source
        self._out, self._record, self._reporter = out, record, reporter
        self._mixer = cache(self._open_mixer)

    def prepare(self, artifact: Artifact, prepare: Callable[[Artifact], Prepared]) -> Prepared:
        """An artifact prepared with the encodings of its mix, if it is one.

        Args:
            artifact: With its encoding resolved.
            prepare: Prepares one that names the encodings of all weights.

        Raises:
            UsageError: The recipe wants no text, or no mix reaches the goal.
            TricastError: As `Mixer` and ``prepare`` do.
        """
        mix = self._find(artifact) if artifact.is_mix else None
        return replace(prepare(with_mix(artifact, mix)), mix=mix)

    def _find(self, artifact: Artifact) -> Mix:
        if self._recipe.calibrate == NO_TEXT:
            raise UsageError(
                f"{artifact.folder} is a mix, which is found by measuring on a text",
                found=f"calibrate: {NO_TEXT}",
                remedy="leave that out, name a text, or choose an encoding",
            )
        checkpoint = self._checkpoint
        graph = stored_graph(
            checkpoint.config, self._source.config, checkpoint.weights, artifact, strict=False
        )
        mix = self._mixer().mix(graph, target(artifact.format), artifact)
        for line in (f"{artifact.folder}:", *mix.lines()):
            self._reporter.say(line)
        return mix

    def _open_mixer(self) -> Mixer:
        # It reaches the interpreter and the kernels, which a run without a mix may never need.
        from convert.mixing_measure import Mixer

        file = self._recipe.calibration_file
        return Mixer(
            self._checkpoint,
            self._source.config,
            self._record().digest,
            self._out,
            text=Path(file) if file else None,
            reporter=self._reporter,
        )


def with_mix(artifact: Artifact, mix: Mix | None) -> Artifact:
    """An artifact that names the encoding of every weight, and as its own the lowest of them, by
    which it is judged; without a mix as it is.
    """
    if mix is None:
        return artifact
    named = tuple(Override(pattern=name, encoding=stored) for name, stored in mix.overrides)
    overrides = (*artifact.overrides, *named)
    return artifact.model_copy(update={"encoding": mix.lowest, "overrides": overrides})


def without_mix(artifact: Artifact, asked: Artifact) -> Artifact:
    """What was asked for when `with_mix` gave ``artifact``, if it was ``asked``."""
    if not asked.is_mix:
        return artifact
    kept = artifact.overrides[: len(asked.overrides)]
    return artifact.model_copy(update={"encoding": asked.encoding, "overrides": kept})
