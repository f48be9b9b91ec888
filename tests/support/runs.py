"""Runs of the whole line on the small trained model, quiet and with few prompts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, TextIO

from convert.pipeline import RunRequest, run
from convert.progress import Reporter
from convert.recipe import SHIPPED_TEXT, Recipe, parse_to

ROOT = Path(__file__).resolve().parents[2]
TINY_LLAMA = ROOT / "golden" / "models" / "tiny-llama"
PROMPTS = TINY_LLAMA / "prompts.txt"


def recipe(*to: str, model: Path = TINY_LLAMA, calibrate: str = SHIPPED_TEXT) -> Recipe:
    """A recipe of the command line's form, with the model's own prompts."""
    return Recipe(
        name="test",
        model=str(model),
        prompts=str(PROMPTS),
        calibrate=calibrate,
        artifacts=tuple(parse_to(text) for text in to),
    )


def convert_tiny(
    out: Path,
    *to: str,
    model: Path = TINY_LLAMA,
    calibrate: str = SHIPPED_TEXT,
    said: TextIO | None = None,
    **options: Any,
) -> list[Path]:
    """Run the pipeline with two threads and without pages; the finished folders."""
    made = recipe(*to, model=model, calibrate=calibrate)
    request = RunRequest(recipe=made, out=out, **{"threads": 2, "report": False, **options})
    return list(run(request, Reporter(said or io.StringIO())))
