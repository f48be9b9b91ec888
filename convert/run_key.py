"""A name for what a run would make: equal as long as everything that its manifest records is.

`python -m convert.run_key --recipe NAME [--model MODEL]` prints it; action.yml keeps artifacts in
the cache of a workflow by it. It is made of the recipe, the hashes of the checkpoint and of the
files that the recipe names (of a checkpoint on the hub: of its commit, so that nothing large is
fetched), and of the versions of all packages that shape an artifact.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convert.asking import recipe_of
from convert.errors import UsageError
from convert.hashing import hash_file
from convert.known_errors import as_known
from convert.recipe import Recipe
from convert.versions import installed_versions


def run_key(recipe: Recipe, arguments: Sequence[str] = ()) -> str:
    """The key of a recipe whose model is named.

    Args:
        arguments: Further ones of the command line, which may change what is made.

    Raises:
        UsageError: It names no model.
        TricastError: The model cannot be reached or read.
    """
    if recipe.model is None:
        raise UsageError("no model is named", expected="--model, or `model:` in the recipe")
    named = [recipe.prompts, recipe.calibration_file, recipe.imatrix]
    files = [_hash(Path(name)) for name in named if name is not None]
    contents = recipe.model_dump(mode="json", exclude=_PLACES)
    known: dict[str, Any] = {
        "recipe": {**contents, "calibrate": None if recipe.calibration_file else recipe.calibrate},
        "source": _source(recipe),
        "files": files,
        "versions": installed_versions(),
        "arguments": list(arguments),
    }
    text = json.dumps(known, sort_keys=True)
    return f"tricast-{hashlib.sha256(text.encode()).hexdigest()}"


def _source(recipe: Recipe) -> str:
    """The digest of a checkpoint here, adapters included; the commit of one on the hub."""
    model = str(recipe.model)
    if Path(model).exists():
        from convert.checkpoint import open_checkpoint
        from convert.inputs import describe_source

        if Path(model).is_file():
            return _hash(Path(model))
        checkpoint = open_checkpoint(model, adapters=recipe.lora)
        try:
            return describe_source(checkpoint).digest
        finally:
            checkpoint.close()
    from convert.sources.hub import open_snapshot

    commit = open_snapshot(model, recipe.revision).commit
    adapters = [_hash(path) for name in recipe.lora for path in sorted(Path(name).iterdir())]
    return json.dumps([model, commit, adapters])


def _hash(path: Path) -> str:
    return hash_file(path.parent, path).sha256


_PLACES = {"model", "revision", "lora", "prompts", "imatrix"}
"""What a recipe says of places; what lies there is hashed."""


def main(given: Sequence[str] | None = None) -> int:
    """Print the key; the exit code."""
    parser = argparse.ArgumentParser(prog="convert.run_key", description="Name a run.")
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--model")
    parser.add_argument("--argument", action="append", default=[])
    options = parser.parse_args(given)
    try:
        recipe = recipe_of(options.model or None, options.recipe, ())
        sys.stdout.write(f"{run_key(recipe, options.argument)}\n")
    except Exception as error:
        known = as_known(error)
        if known is None:
            raise
        sys.stderr.write(f"error: {known}\n")
        return known.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
