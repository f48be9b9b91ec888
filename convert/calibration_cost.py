"""What it costs to run a text through a model for an artifact: time, memory and disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import onnx_ir as ir

from convert import calibration_text, weighting
from convert.architectures.base import DecoderConfig
from convert.chunks import chunk_count
from convert.graph import parameters
from convert.hardware.this_machine import this_machine
from convert.recipe import NO_TEXT, Artifact, Recipe
from convert.stream import CHUNK_BYTES
from convert.weights import Weight
from passes.calibration.execution import BATCH_TOKENS
from passes.calibration.reading import BLOCK_BYTES
from passes.calibration.steps import plan
from passes.weighting import weightable_layers

_FLOAT_BYTES = 4
_HELD_HIDDEN, _HELD_FFN = 4, 3
"""Copies of the hidden states and of the MLP's inner values that are held at once, at most."""

_WORK_HIDDEN, _WORK_FFN, _WORK_SCORES = 30, 10, 8
"""Elements that are read or written a token and layer, in multiples of the hidden size, the MLP's
and the attention scores: norms, rotation, softmax, activation, sums, what observers look at."""

_ITSELF = " itself"
"""What comes on top of a run for a method is that, after its name."""

_METHOD_MATRICES = 2
"""Second moments of a layer's inputs, and their factor."""


@dataclass(frozen=True)
class Rates:
    """What this machine does in a second.

    Args:
        operations: Multiplications and additions in a float32 matrix product.
        elements: bfloat16 numbers that become float32.
    """

    operations: float
    elements: float


@dataclass(frozen=True)
class TextRun:
    """A text on its way through a model.

    Args:
        purpose: What it is run for.
        tokens: Of the text.
        own_read: Whether the weights are read for it alone, rather than as they are converted.
        operations: In matrix products.
        weights: How many become float32.
        touched: Elements of other values that are read or written.
        memory: Bytes of values and of blocks of weights, at most.
        disk: Bytes that the newest snapshot takes until the run is over, and the values of texts
            beyond one batch.
        more: Work that comes on top and is not estimated; empty if there is none.
    """

    purpose: str
    tokens: int
    own_read: bool
    operations: float
    weights: int
    touched: float
    memory: int
    disk: int
    more: str = ""

    def seconds(self, rates: Rates) -> float:
        """Time on a machine with these rates."""
        return self.operations / rates.operations + (self.weights + self.touched) / rates.elements

    def line(self, rates: Rates) -> str:
        """The run for a terminal."""
        read = "" if self.own_read else ", as the weights are converted"
        least = "at least " if self.more else ""
        text = (
            f"{self.purpose}: {self.tokens:,} tokens{read}: {least}{_duration(self.seconds(rates))}"
            f", {self.memory / 1e6:,.0f} MB of memory, {self.disk / 1e6:,.1f} MB of disk"
        )
        return f"{text}; {self.more}" if self.more else text

    def to_json(self, rates: Rates) -> dict[str, Any]:
        """The run as plain values."""
        return {
            "purpose": self.purpose,
            "tokens": self.tokens,
            "own_read": self.own_read,
            "operations": self.operations,
            "seconds": round(self.seconds(rates), 1),
            "memory": self.memory,
            "disk": self.disk,
            "not_estimated": self.more,
        }


class Matrix(NamedTuple):
    """A weight that tokens are multiplied with.

    Args:
        rows: Of the weight.
        columns: Likewise.
        chunks: That a run cuts it into.
        expert: Whether only some of the tokens come to it.
    """

    rows: int
    columns: int
    chunks: int
    expert: bool


@dataclass(frozen=True)
class Passage:
    """What a text meets on its way through a model.

    Args:
        weights: In matrices, each counted once.
        multiplied: Weights that each token is multiplied with.
        widest: Columns of the widest matrix.
        matrices: What is multiplied with, one after the other, and how many are alike.
    """

    weights: int
    multiplied: int
    widest: int
    matrices: Mapping[Matrix, int]


def passage(graph: ir.Model) -> Passage:
    """Count the float graph of a model; its weights need not be readable."""
    steps = [step for step in plan(graph, logits=False).steps if step.weight is not None]
    sizes = {step.weight.name: step.weight for step in steps if step.weight is not None}
    return Passage(
        weights=sum(weight.rows * weight.columns for weight in sizes.values()),
        multiplied=sum(
            step.weight.rows * step.weight.columns
            for step in steps
            if step.computes and step.weight is not None
        ),
        widest=max(weight.columns for weight in sizes.values()),
        matrices=Counter(
            _matrix(step.weight) for step in steps if step.computes and step.weight is not None
        ),
    )


def _matrix(weight: Weight) -> Matrix:
    chunks = chunk_count(weight, CHUNK_BYTES, in_cells=True)
    return Matrix(weight.rows, weight.columns, chunks, ".experts." in weight.name)


def text_runs(
    recipe: Recipe,
    artifact: Artifact,
    config: DecoderConfig,
    *,
    met: Passage,
    stored: ir.Model,
    observed: bool,
) -> tuple[TextRun, ...]:
    """All runs of a text that an artifact needs; what one of them keeps, others use again.

    Args:
        config: That of the model, normalized.
        met: What the text meets.
        stored: The graph with its encodings.
        observed: Whether the target needs the model observed.
    """
    return tuple(
        _text_run(*purpose, config=config, met=met)
        for purpose in _purposes(recipe, artifact, stored, observed=observed)
    )


def _purposes(
    recipe: Recipe, artifact: Artifact, stored: ir.Model, *, observed: bool
) -> Iterator[tuple[str, int, bool, str]]:
    """Purpose of each run, its tokens, whether it reads the weights itself, what is on top."""
    if recipe.calibrate == NO_TEXT:
        return
    most = recipe.calibration_tokens or calibration_text.MOST_TOKENS
    rounded = any(
        parameter.encoding is not None and parameter.encoding.input_bits is not None
        for parameter in parameters(stored).values()
    )
    if observed:
        yield "measure what layers read", most, True, ""
    if rounded:
        search = "the search for alphas" if artifact.smooth_quant == "search" else ""
        yield "measure inputs of 8 bits", most, True, search
    if "awq" in artifact.methods:
        yield "balance weights by awq", most, True, "the search for divisors"
    if artifact.code_method is not None:
        from convert import calibrated  # brings all that finds codes

        method = artifact.code_method
        for_method = recipe.calibration_tokens or calibrated.MOST_TOKENS
        yield f"find codes by {method}", for_method, True, f"{method}{_ITSELF}"
    elif artifact.is_mix:
        yield "choose a mix", weighting.SAMPLE_TOKENS, True, "a run of each candidate"
    elif recipe.imatrix is None and any(weightable_layers(stored)):
        own = recipe.calibration_file is not None
        tokens = weighting.FILE_TOKENS if own else weighting.SAMPLE_TOKENS
        yield "weight the scales", tokens, False, ""


def _text_run(
    purpose: str,
    tokens: int,
    own_read: bool,
    more: str,
    *,
    config: DecoderConfig,
    met: Passage,
) -> TextRun:
    sequence = min(tokens, calibration_text.SEQUENCE_TOKENS, config.max_positions)
    batch = min(tokens, BATCH_TOKENS)
    on_disk = tokens * max(5 * config.hidden, 2 * config.hidden + 2 * config.ffn)
    scores = sequence * config.heads
    widest = met.widest if more.endswith(_ITSELF) else 0
    attention = 4 * scores * config.head_dim * config.layers
    touched = (
        _WORK_HIDDEN * config.hidden + _WORK_FFN * config.ffn + _WORK_SCORES * scores
    ) * config.layers
    return TextRun(
        purpose=purpose,
        tokens=tokens,
        own_read=own_read,
        operations=float(tokens) * (2 * met.multiplied + attention),
        weights=met.weights * -(-tokens // BATCH_TOKENS),
        touched=float(tokens) * touched,
        memory=values_memory(config, tokens, widest) + 3 * BLOCK_BYTES,
        disk=_FLOAT_BYTES * (tokens * config.hidden + (on_disk if tokens > batch else 0)),
        more=more,
    )


def values_memory(config: DecoderConfig, tokens: int, widest: int = 0) -> int:
    """Bytes of the values of a text on its way through a model, weights left out.

    Args:
        tokens: Of the text.
        widest: Columns of the widest matrix whose second moments are inverted; 0 for none.
    """
    sequence = min(tokens, calibration_text.SEQUENCE_TOKENS, config.max_positions)
    held = _HELD_HIDDEN * config.hidden + _HELD_FFN * config.ffn
    scores = 2 * sequence * sequence * config.heads
    values = min(tokens, BATCH_TOKENS) * held + scores + _METHOD_MATRICES * widest**2
    return _FLOAT_BYTES * values


def measured_rates() -> Rates:
    """What this machine does."""
    speeds = this_machine()
    return Rates(operations=speeds.operations, elements=speeds.conversions)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
