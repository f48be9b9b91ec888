"""Codes found by a calibrated method: those that are kept beside the artifacts, or found now."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import onnx_ir as ir

from convert.architectures import architecture_of
from convert.architectures.base import DecoderConfig
from convert.calibration_text import CalibrationText, required_text
from convert.checkpoint import Checkpoint
from convert.errors import OutOfMemoryError, UsageError
from convert.graph import Role, parameters, roles
from convert.kept_codes import KeptCodes
from convert.manifest import CalibratedRecord, SourceRecord
from convert.progress import Reporter
from convert.recipe import NO_TEXT, SHIPPED_TEXT
from convert.weights import Weight
from passes.base import Pass
from passes.calibration.execution import BATCH_TOKENS, Execution, bytes_to_read, room_for
from passes.calibration.observations import tokens_digest
from passes.calibration.rounding import Rounding
from passes.calibration.snapshots import Snapshots
from passes.calibration.steps import plan
from passes.encodings.base import Encoding
from passes.encodings.grids import grid_of
from passes.encodings.super_grids import NAMES, any_grid_of
from passes.smoothing.division import DIGEST

METHODS = {"gptq": any_grid_of, "autoround": grid_of}
"""What gives the grid of an encoding that the method can find codes for."""

ROLES = frozenset({Role.LINEAR, Role.HEAD})
"""Of weights that have codes to find. Embeddings that are the head as well are GPTQ's, too: of a
small model in q6_k the head so lost a seventh, and rows that are looked up no more than a quarter
more, which was a third of it all."""

MOST_TOKENS = 4096
"""All of the shipped text: how inputs go together takes more tokens to know than their size."""

SEQUENCE_TOKENS = 512

_DECISIVE_PACKAGES = ("numpy", "numba", "tokenizers", "transformers")
_FORM = 2
"""Raised when the same checkpoint, text and encodings would give other codes."""


@dataclass(frozen=True)
class Calibrated:
    """Codes, and what the manifest says of them."""

    codes: KeptCodes
    record: CalibratedRecord


def find_codes(
    method: str,
    model: ir.Model,
    checkpoint: Checkpoint,
    config: DecoderConfig,
    hashed: Callable[[], SourceRecord],
    out: Path,
    *,
    text: str,
    reporter: Reporter,
    divide: Pass | None = None,
    most_tokens: int | None = None,
    restart: bool = False,
) -> Calibrated:
    """The codes of a quantized graph's linear layers, from the folder ``out`` or found now and
    kept there.

    Args:
        method: Of a recipe.
        model: The quantized graph, of which only the encodings count.
        checkpoint: The model.
        config: That of the checkpoint, normalized.
        hashed: Gives the hashes of the whole checkpoint.
        out: Folder of the artifacts.
        text: What a recipe says under ``calibrate``.
        reporter: Told of progress.
        divide: What was done to the float graph before it was quantized, if anything was.
        most_tokens: Of the text; None for `MOST_TOKENS`.
        restart: Begin anew what an interrupted run left.

    Raises:
        UsageError: The method is not built, the graph has no layer that it is for, or there is
            to be no text.
        UnsupportedTokenizerError: The checkpoint has no tokenizer to read a text with.
        UnsupportedError: The model cannot be run for calibration.
        MissingFileError: There is no such text.
        BrokenInputError: The model's own activations are not finite.
        OutOfMemoryError: AutoRound has not the memory for a layer.
    """
    _require_possible(method, text)
    graph = architecture_of(checkpoint.config).build(config, checkpoint.weights)
    if divide is not None:
        divide(graph)
    layers = layers_of(graph)
    encodings = encodings_to_find(model, layers, method)
    _require_some(method, encodings)
    own = None if text == SHIPPED_TEXT else Path(text)
    read = _read(checkpoint.folder, config, own, most_tokens or MOST_TOKENS)
    divisors = graph.metadata_props.get(DIGEST)
    folder = out / codes_name(hashed().digest, method, read, encodings, divisors)
    codes = KeptCodes(folder, encodings, layers)
    if codes.is_complete:
        reporter.say(f"{method}: {codes.folder.name} is there already")
    else:
        if restart:
            shutil.rmtree(codes.folder, ignore_errors=True)
        _round(method, graph, read, encodings, codes, reporter)
    tokens = sum(map(len, read.sequences))
    record = CalibratedRecord(method=method, text_sha256=read.sha256, tokens=tokens)
    return Calibrated(codes, record)


def _require_some(method: str, encodings: Mapping[str, Encoding]) -> None:
    if not encodings:
        raise UsageError(
            f"{method} finds codes of few bits, and this artifact has no linear layers of few bits",
            expected=NAMES,
            remedy="choose one of these encodings, or leave out the method",
        )


def _require_possible(method: str, text: str) -> None:
    if method not in METHODS:
        raise UsageError(
            f"there is no program for the method {method} yet",
            expected=" or ".join(METHODS),
            remedy="choose that, or leave out the method",
        )
    if text == NO_TEXT:
        raise UsageError(
            f"{method} needs a text, and calibration is switched off",
            remedy="leave out the method, or --calibrate none",
        )


def _round(
    method: str,
    graph: ir.Model,
    text: CalibrationText,
    encodings: Mapping[str, Encoding],
    codes: KeptCodes,
    reporter: Reporter,
) -> None:
    snapshots = Snapshots(codes.folder / "state", codes.folder.name)
    title = f"{method} on {sum(map(len, text.sequences))} tokens"
    with room_for(text.sequences, codes.folder) as spill:
        rounding: Execution
        if method == "autoround":
            _require_memory(graph)
            from passes.autoround.execution import BlockRounding

            rounding = BlockRounding(graph, text.sequences, encodings, codes.keep, codes.find)
        else:
            rounding = Rounding(
                graph,
                text.sequences,
                encodings,
                codes.keep,
                codes.find,
                batch_tokens=BATCH_TOKENS,
                spill=spill,
            )
        with reporter.transfer(title, bytes_to_read(graph)) as advance:
            rounding.run(advance, snapshots)
    snapshots.remove()


def _require_memory(graph: ir.Model) -> None:
    """Refuse to round a layer at once that does not fit."""
    from golden.memory import GIB, available_memory
    from passes.autoround.blocks import memory_to_round

    needed, free = memory_to_round(plan(graph, logits=False)), available_memory()
    if needed > free:
        raise OutOfMemoryError(
            "autoround rounds a whole decoder layer at once, and that does not fit into memory",
            expected=f"{needed / GIB:.1f} GiB of free memory",
            found=f"{free / GIB:.1f} GiB",
            remedy="choose the method gptq, which holds a part of one weight at a time",
        )


def _read(
    folder: Path, config: DecoderConfig, text: Path | None, most_tokens: int
) -> CalibrationText:
    length = min(SEQUENCE_TOKENS, config.max_positions)
    return required_text(folder, text, sequence_tokens=length, most_tokens=most_tokens)


def layers_of(graph: ir.Model) -> dict[str, Weight]:
    """The weights of a float graph's linear layers by name."""
    return {
        step.weight.name: step.weight
        for step in plan(graph, logits=False).steps
        if step.weight is not None and step.node.op_type == "MatMul"
    }


def encodings_to_find(
    model: ir.Model, weights: Mapping[str, Weight], method: str
) -> dict[str, Encoding]:
    """How the linear layers of a quantized graph are stored whose codes can be found.

    Args:
        model: The quantized graph.
        weights: See `layers_of`.
        method: One of `METHODS`.
    """
    names = {weight.identity: name for name, weight in weights.items()}
    role_of, found = roles(model), {}
    fitting = ROLES | {Role.EMBEDDING} if method == "gptq" else ROLES
    for name, held in parameters(model).items():
        known = names.get(held.weight.identity)
        if (
            known is not None
            and role_of[name] in fitting
            and held.encoding is not None
            and METHODS[method](held.encoding) is not None
        ):
            found[known] = held.encoding
    return found


def codes_name(
    digest: str,
    method: str,
    text: CalibrationText,
    encodings: Mapping[str, Encoding],
    divisors: str | None = None,
) -> str:
    """Folder name of codes: the same exactly if it would hold the same.

    Args:
        digest: Of the whole checkpoint.
        divisors: Digest of what inputs were divided by, if they were.
    """
    versions = [metadata.version(package) for package in _DECISIVE_PACKAGES]
    stored = {name: encoding.name for name, encoding in encodings.items()}
    tokens = tokens_digest(text.sequences)
    key = json.dumps([_FORM, digest, method, divisors, tokens, stored, versions], sort_keys=True)
    return f"{method}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
