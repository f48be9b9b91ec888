"""The checkpoint of a run, opened, with its files being hashed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convert.checkpoint import Checkpoint, open_checkpoint
from convert.errors import UsageError
from convert.inputs import Inputs
from convert.recipe import Recipe
from convert.sources.read_ahead import read_files_ahead
from golden.memory import available_memory


@dataclass(frozen=True)
class Opened:
    """A checkpoint and the hashing of its files, which has begun."""

    checkpoint: Checkpoint
    inputs: Inputs


def open_model(recipe: Recipe, scratch: Path | None = None) -> Opened:
    """Open the model that a recipe names.

    Args:
        scratch: Folder for what is made of a model that is no checkpoint yet.

    Raises:
        UsageError: It names none.
        BrokenInputError: It cannot be read.
    """
    if recipe.model is None:
        raise UsageError(
            "no model is named",
            expected="MODEL on the command line, or `model:` in the recipe",
        )
    checkpoint = open_checkpoint(
        recipe.model, revision=recipe.revision, scratch=scratch, adapters=recipe.lora
    )
    return Opened(checkpoint, Inputs(checkpoint))


def open_early(recipe: Recipe) -> Opened | None:
    """Open a model that is a folder here, which takes no time; None for any other.

    To import what a run needs takes seconds, which the hashing of the checkpoint can use; so can
    the disk.
    """
    if recipe.model is None or not Path(recipe.model).is_dir():
        return None
    opened = open_model(recipe)
    read_files_ahead(opened.checkpoint.files, available_memory() // 4)
    return opened
