"""Writes the artifact of a small model as a run would, with one encoding for all matrices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.parameter import Parameter
from convert.stream import write_layouts
from passes.encodings import encoding
from targets.base import Layout, LayoutRequest, Source, Target
from tests.support.models import SmallModel


def lay_out(
    target: Target,
    small: SmallModel,
    folder: Path,
    encoding_name: str,
    *,
    tokenizer: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Layout:
    """The layout of ``small``; ``folder`` holds the companion files of the checkpoint."""
    graph = small.graph()
    for step in target.passes(options or {}):
        step(graph)
    for value in graph.graph.initializers.values():
        parameter = value.const_value
        if isinstance(parameter, Parameter):
            matrix = len(parameter.weight.shape) == 2
            asked = encoding(encoding_name if matrix else target.vector_encoding)
            parameter.encoding = asked.fit(parameter.weight.columns)
    source = Source("small", folder, small.raw_config, small.config)
    return target.lay_out(LayoutRequest(source, graph, tokenizer=tokenizer, options=options or {}))


def write_artifact(
    target: Target,
    small: SmallModel,
    folder: Path,
    encoding_name: str,
    *,
    checkpoint: Path | None = None,
    tokenizer: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Write the artifact of ``small`` into ``folder``, which must be new."""
    folder.mkdir(parents=True)
    source = checkpoint or folder
    layout = lay_out(target, small, source, encoding_name, tokenizer=tokenizer, options=options)
    write_layouts([(folder, layout)])
    return folder
