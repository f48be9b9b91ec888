"""Writes ipex artifacts of small models as a run would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convert.checkpoint import open_checkpoint
from convert.preparation import Prepared, open_source, prepare, resolve_encoding
from convert.recipe import Artifact
from convert.stream import write_layouts
from tests.support.models import SmallModel, small_model

SMALL = {
    "vocab_size": 104,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
"""Rows in multiples of 8, as GPTQ has them; groups of 64 fit one side of an MLP, 32 both."""


def model(kind: str, **overrides: Any) -> SmallModel:
    """A small random model."""
    return small_model(kind, **{**SMALL, **overrides})


def prepared(
    small: SmallModel, folder: Path, encoding: str, *, strict: bool = False, **recipe: Any
) -> Prepared:
    """What a run would write; ``folder`` gets the checkpoint."""
    small.save(folder)
    checkpoint = open_checkpoint(str(folder))
    artifact = resolve_encoding(Artifact(format="ipex", encoding=encoding, **recipe))
    return prepare(checkpoint, open_source(checkpoint), artifact, tokenizer=False, strict=strict)


def written(
    small: SmallModel, folder: Path, encoding: str, chunk_bytes: int = 1 << 20, **recipe: Any
) -> Path:
    """The artifact, in a folder of its own."""
    layout = prepared(small, folder / "checkpoint", encoding, **recipe).layout
    out = folder / "artifact"
    out.mkdir()
    write_layouts([(out, layout)], chunk_bytes=chunk_bytes)
    return out
