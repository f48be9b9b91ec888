"""Makes OpenVINO artifacts of small models, written job by job without the stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from targets.base import Layout, LayoutRequest, Source
from targets.openvino.target import OpenVinoTarget
from tests.support.models import SmallModel

Rewrite = Callable[[ir.Model], object]


def lay_out(
    model: SmallModel,
    *,
    checkpoint: Path = Path("no-such-folder"),
    tokenizer: bool = False,
    options: Mapping[str, Any] | None = None,
    quantize: Rewrite | None = None,
) -> Layout:
    """The layout of ``model`` after the target's passes and ``quantize``."""
    target, graph, settings = OpenVinoTarget(), model.graph(), dict(options or {})
    for rewrite in target.passes(settings):
        rewrite(graph)
    if quantize is not None:
        quantize(graph)
    source = Source("small", checkpoint, model.raw_config, model.config)
    return target.lay_out(LayoutRequest(source, graph, tokenizer, settings))


def write(layout: Layout, folder: Path) -> Path:
    """Write every file of ``layout`` below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {file.path: bytearray(file.size) for file in layout.files}
    for file in layout.files:
        for offset, data in file.segments:
            contents[file.path][offset : offset + len(data)] = data
    for job in layout.jobs:
        rows = job.weight.read_rows(0, job.weight.rows)
        if job.row_order is not None:
            rows = rows[job.row_order]
        planes = job.encoding.encode(rows)
        for placement, plane in zip(job.placements, planes, strict=True):
            data = np.ascontiguousarray(plane).tobytes()
            contents[placement.file][placement.offset : placement.offset + len(data)] = data
    for path, content in contents.items():
        (folder / path).write_bytes(content)
    return folder


def convert(model: SmallModel, folder: Path, **how: Any) -> Path:
    """`lay_out`, then `write`."""
    return write(lay_out(model, **how), folder)
