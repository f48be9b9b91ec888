"""One model type: a random checkpoint of it, imported as a user's would be, and held to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import onnx_ir as ir

from bench.architectures.findings import IMPORT, INT8, ONNX, OPENVINO, PARITY, TRIAL, Finding
from bench.architectures.fusion import fused
from bench.architectures.originals import Original, make_original
from bench.architectures.overrides import NOT_ALONE
from bench.architectures.parity import largest_difference, mean_kl
from bench.architectures.reasons import reason_of
from bench.architectures.small_configs import small_config
from convert.architectures import ARCHITECTURES, architecture_of
from convert.checkpoint import Checkpoint, open_checkpoint
from convert.errors import UnsupportedError
from convert.importing.skeleton import class_names
from convert.preparation import open_source, prepare, resolve_encoding
from convert.recipe import parse_to
from convert.stream import write_layouts
from targets.base import Source

_THREADS = 2


Note = Callable[[Finding], None]

Stage = Callable[[str], AbstractContextManager[None]]


def try_out(kind: str, folder: Path, note: Note) -> None:
    """Everything about a model type.

    A class that has a hand-written architecture is imported all the same.

    Args:
        kind: The type.
        folder: An empty one, where files are made.
        note: Told of what was found after every stage.
    """
    started, finding = time.perf_counter(), Finding(kind)

    def timed(so_far: Finding) -> None:
        so_far.seconds = round(time.perf_counter() - started, 1)
        note(so_far)

    def made(checkpoint: Path) -> Original:
        if kind in NOT_ALONE:
            raise UnsupportedError(NOT_ALONE[kind])
        return make_original(small_config(kind), class_names()[kind], checkpoint)

    with mock.patch("convert.architectures.ARCHITECTURES", ()), own_cache(folder):
        hold(finding, folder, partial(in_stage, finding, timed), made)


def own_cache(folder: Path) -> AbstractContextManager[Any]:
    """Nothing that was kept before is found."""
    return mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(folder / "cache")})


def hold(finding: Finding, folder: Path, stage: Stage, made: Callable[[Path], Original]) -> None:
    """Make a checkpoint, convert it and hold it to its original.

    Args:
        finding: Is told what was found.
        folder: An empty one, where files are made.
        stage: What a stage runs in.
        made: Saves the checkpoint.
    """
    checkpoint = folder / "checkpoint"
    with stage(TRIAL):
        original = made(checkpoint)
        finding.name = original.name
        finding.fast = any(original.name in each.names for each in ARCHITECTURES)
    if finding.reasons:
        return
    with stage(IMPORT):
        opened = open_checkpoint(str(checkpoint))
        source = open_source(opened)
        model = architecture_of(opened.config).build(source.config, opened.weights)
        finding.imported = True
    if not finding.imported:
        return
    with stage(ONNX):
        finding.onnxruntime = _in_onnxruntime(original, opened, source, folder)
        _require_parity(finding.onnxruntime)
    with stage(OPENVINO):
        finding.openvino = _in_openvino(finding, original, opened, source, folder, model)
        _require_parity(finding.openvino)
    with stage(INT8):
        start, feed = _openvino(_converted("openvino:int8", opened, source, folder))[1:]
        finding.int8_kl = mean_kl(original, start, feed)


@contextmanager
def in_stage(finding: Finding, note: Note, stage: str) -> Iterator[None]:
    """What goes wrong is a finding, too."""
    try:
        yield
    except Exception as error:
        finding.reasons[stage] = reason_of(error)
    note(finding)


def _require_parity(difference: float) -> None:
    if not difference <= PARITY:
        raise ValueError(f"logits differ by {difference:.1e} standard deviations")


def _in_onnxruntime(
    original: Original, checkpoint: Checkpoint, source: Source, folder: Path
) -> float:
    from targets.onnx.run import OnnxRunner

    artifact = _converted("onnx:f32", checkpoint, source, folder)
    runner = OnnxRunner(artifact, threads=1)

    def feed(ids: Any, mask: Any, positions: Any) -> Any:
        return runner.feed_batch(ids, attention_mask=mask, position_ids=positions)

    return largest_difference(original, runner.reset, feed)


def _in_openvino(
    finding: Finding,
    original: Original,
    checkpoint: Checkpoint,
    source: Source,
    folder: Path,
    model: ir.Model,
) -> float:
    compiled, start, feed = _openvino(_converted("openvino:f32", checkpoint, source, folder))
    finding.attention, finding.rope = fused(compiled, model, original.rotates)
    return largest_difference(original, start, feed)


def _openvino(artifact: Path) -> tuple[Any, Callable[[], None], Callable[..., Any]]:
    """The compiled model in float32 arithmetic, and how it is started and run."""
    from targets.openvino.run import EXACT, OpenVinoRunner

    runner = OpenVinoRunner(artifact, threads=_THREADS, overrides=EXACT)

    def feed(ids: Any, mask: Any, positions: Any) -> Any:
        return runner.feed_batch(ids, attention_mask=mask, position_ids=positions)

    return runner.compiled, runner.reset, feed


def _converted(to: str, checkpoint: Checkpoint, source: Source, folder: Path) -> Path:
    artifact = resolve_encoding(parse_to(to))
    prepared = prepare(checkpoint, source, artifact, tokenizer=False, strict=False)
    place = folder / artifact.folder
    place.mkdir()
    write_layouts([(place, prepared.layout)], threads=1)
    return place
