"""Makes artifacts of several ranks, and of the whole model beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.checkpoint import open_checkpoint
from convert.preparation import Prepared, open_source, prepare
from convert.recipe import Artifact
from convert.stream import write_layouts
from tests.support.models import SmallModel


@dataclass(frozen=True)
class Pair:
    """The same model for one process and for several ranks."""

    model: SmallModel
    whole: Path
    cut: Path
    prepared: Prepared


def make_pair(
    model: SmallModel,
    folder: Path,
    ranks: int,
    encoding: str = "f32",
    *,
    target: str = "openvino",
    **options: Any,
) -> Pair:
    """Write both artifacts as a run would, without a tokenizer.

    The whole one has no program files, since they take seconds to export.
    """
    checkpoint = open_checkpoint(str(model.save(folder / "checkpoint")))
    source, made = open_source(checkpoint), []
    whole_options = {**options, "graphs": False} if target == "gaudi" else options
    for name, count, own in (("whole", None, whole_options), ("cut", ranks, options)):
        artifact = Artifact(format=target, encoding=encoding, tensor_parallel=count, options=own)
        made.append(prepare(checkpoint, source, artifact, tokenizer=False, strict=False))
        (folder / name).mkdir()
        write_layouts([(folder / name, made[-1].layout)])
    return Pair(model, folder / "whole", folder / "cut", made[-1])
