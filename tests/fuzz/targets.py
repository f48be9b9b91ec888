"""What is on trial: each function reads a case in a folder as a command would."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from convert.errors import TricastError
from convert.known_errors import as_known

ALLOWED_CODES = frozenset({2, 3, 4, 5, 6})
"""Of errors that an input may cause: 3 stands for an artifact that is not what it says."""

_ROWS = 3
_MOST_BYTES = 1 << 24


class FaultyError(AssertionError):
    """An error with an exit code that no input should lead to, or that says nothing."""


def attempt(function: Callable[..., object], *given: object) -> object:
    """Call a function, which may refuse with a named error.

    Raises:
        FaultyError: The error has not the exit code of a bad input, or no text.
        Exception: What a user would be shown as a fault.
    """
    try:
        return function(*given)
    except (TricastError, OSError) as error:
        known = as_known(error)
        if known is None:
            raise
        if known.exit_code not in ALLOWED_CODES or not str(known).strip():
            raise FaultyError(f"exit code {known.exit_code}: {known}") from error
        if len(str(known)) > 100_000:
            raise FaultyError(f"a message of {len(str(known))} characters") from error
        str(known).encode("utf-8", "backslashreplace")
        return None


def checkpoint(folder: Path) -> None:
    """Open, hold against the configuration, merge adapters, read rows of every weight."""
    from convert.checkpoint import Checkpoint, open_checkpoint
    from convert.preparation import open_source

    adapters = [folder / "adapter"] if (folder / "adapter").is_dir() else []

    def opened(*with_adapters: Path) -> Checkpoint:
        return open_checkpoint(str(folder), adapters=with_adapters)

    for given in dict.fromkeys(((), tuple(adapters))):
        found = attempt(opened, *given)
        if isinstance(found, Checkpoint):
            attempt(open_source, found)
            for weight in list(found.weights.values())[:100]:
                if weight.shape and weight.nbytes <= _MOST_BYTES:
                    attempt(weight.read_rows, 0, min(_ROWS, weight.rows))
                    weight.read_ahead(1 << 16)


def recipe(folder: Path) -> None:
    """Read a recipe, look for faults in it as an editor does, resolve its artifacts."""
    from convert.hardware.catalogue import load_hardware
    from convert.recipe import Recipe, load_recipe
    from convert.recipe_linting import lint

    path = folder / "recipe.yaml"
    if path.is_file():
        found = attempt(load_recipe, str(path))
        attempt(lambda: [str(each) for each in lint(path)])
        if isinstance(found, Recipe):
            _resolved(found)
    if (folder / "box.yaml").is_file():
        attempt(load_hardware, str(folder / "box.yaml"))


def _resolved(found: object) -> None:
    from convert.gating import thresholds
    from convert.preparation import deployment_options, resolve_encoding
    from convert.recipe import Recipe
    from targets import target

    assert isinstance(found, Recipe)
    for artifact in found.artifacts[:20]:
        resolved = attempt(resolve_encoding, artifact)
        if resolved is not None:
            attempt(thresholds, resolved)
            attempt(lambda one: target(one.format).passes(deployment_options(one)), artifact)
        attempt(lambda one: (one.folder, one.model_dump_json()), artifact)


def manifest(folder: Path) -> None:
    """Check an artifact as `convert verify` does, and make what follows from its manifest."""
    from convert.differences.comparison import compare
    from convert.differences.told import as_json, as_text
    from convert.manifest import Manifest, check_files, read_manifest
    from convert.provenance.checking import check_artifact
    from convert.provenance.claims import check_claims
    from convert.provenance.derived import check_derived, derived_documents
    from convert.provenance.signatures import Trust, check_signature

    attempt(check_artifact, folder)
    attempt(check_signature, folder, Trust(key=_public_key()))
    found = attempt(read_manifest, folder)
    if isinstance(found, Manifest):
        attempt(check_files, folder, found)
        attempt(check_claims, found)
        attempt(check_derived, folder, found)
        attempt(derived_documents, found, b"")
        for made in (as_text, as_json):
            attempt(lambda say: say(compare(_artifact(), folder)), made)


def gguf(folder: Path) -> None:
    """Import a model, or read an imatrix."""
    from convert.import_gguf import import_gguf
    from targets.gguf.imatrix import read_imatrix

    for path in sorted(folder.glob("*.gguf")):
        if path.name == "imatrix.gguf":
            config, names = _imatrix_model()
            attempt(read_imatrix, path, config, names)
            continue
        if attempt(import_gguf, path, folder / "out") is not None:
            checkpoint(folder / "out")
            break


@cache
def _imatrix_model() -> tuple[object, tuple[str, ...]]:
    from convert.architectures import architecture_of
    from tests.fuzz.seeds import CONFIGS

    architecture = architecture_of(CONFIGS["qwen3_moe"])
    config = architecture.parse(CONFIGS["qwen3_moe"])
    names = architecture.parameters(config)
    return config, tuple(name for name, shape in names.items() if len(shape) == 2)


@cache
def _artifact() -> Path:
    """A sound artifact to compare with; stays as long as the program runs."""
    from tests.support.finished import finished_artifact

    return finished_artifact(_kept() / "artifact")


@cache
def _public_key() -> Path:
    from tests.support.keys import new_key

    return new_key(_kept(), "key").public


@cache
def _kept() -> Path:
    import atexit
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="tricast-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


TARGETS: dict[str, Callable[[Path], None]] = {
    "checkpoint": checkpoint,
    "pickle": checkpoint,
    "recipe": recipe,
    "manifest": manifest,
    "gguf": gguf,
}
"""By name; `tests.fuzz.seeds.seeds` knows what each begins from."""
