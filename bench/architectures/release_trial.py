"""One released model: planned at full size, and a small one of it held to transformers."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

from bench.architectures.findings import Finding
from bench.architectures.originals import Original, make_original
from bench.architectures.reasons import reason_of
from bench.architectures.releases import Release, releases
from bench.architectures.trial import Note, hold, in_stage, own_cache
from convert.config_only import NamedConfig
from convert.errors import TricastError, UnsupportedArchitectureError
from convert.importing.skeleton import class_name, config_object
from convert.planning import plan
from convert.recipe import Recipe, parse_to

PLANNED = ("openvino:int8", "gguf:q4_k_m")


def try_release(model: str, folder: Path, note: Note) -> None:
    """Everything about a released model, by the way that it is converted.

    Args:
        model: Its name.
        folder: An empty one, where files are made.
        note: Told of what was found after every stage.
    """
    started, finding, release = time.perf_counter(), Finding(model), releases()[model]

    def timed(so_far: Finding) -> None:
        so_far.seconds = round(time.perf_counter() - started, 1)
        note(so_far)

    with own_cache(folder):
        for to in PLANNED:
            finding.plans[to] = planned(release, to)
            timed(finding)
        hold(finding, folder, partial(in_stage, finding, timed), partial(_saved, release))


def planned(release: Release, to: str) -> str:
    """Weights of the whole model, and how long planning took; or why it is refused."""
    started = time.perf_counter()
    try:
        recipe = Recipe(name="released", artifacts=(parse_to(to),))
        found = plan(NamedConfig(release.model, release.config), recipe)
    except TricastError as error:
        return f"refused: {reason_of(error)}"
    seconds = time.perf_counter() - started
    return f"{found.parameters / 1e9:.2f} B weights, {seconds:.0f} s"


def _saved(release: Release, checkpoint: Path) -> Original:
    """A small checkpoint, with the keys of the released config.json."""
    small = release.small()
    name = class_name(small)
    if name is None:
        raise UnsupportedArchitectureError(
            f"transformers has no causal language model of type {release.kind}"
        )
    original = make_original(config_object(small), name, checkpoint)
    (checkpoint / "config.json").write_text(json.dumps(small, indent=1))
    return original
