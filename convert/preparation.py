"""From an artifact's description to its layout: graph, passes, encodings, files. No weight read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from convert.architectures import architecture_of
from convert.architectures.base import DecoderConfig
from convert.balancing import Balance, Balancing, balancing, one_division
from convert.checkpoint import Checkpoint, require_tensors
from convert.errors import UnsupportedEncodingError, UnsupportedError, UsageError
from convert.laying_out import lay_out, require_fit
from convert.manifest import CalibratedRecord
from convert.recipe import Artifact
from convert.smoothing import Measure, smoothing
from convert.weights import Weight
from passes.awq import Awq
from passes.base import Pass
from passes.cache_form import CacheForm
from passes.catalogue import added_pass
from passes.encodings import encoding
from passes.encodings.base import Encoding
from passes.quantize import Policy, Quantize
from passes.smoothing.division import InputDivision
from passes.tensor_parallel import TensorParallel
from passes.weighting import AWAITING, Weighting, weightable_layers
from targets import target as target_named
from targets.base import Assignment, Layout, LayoutRequest, Source, Target

if TYPE_CHECKING:
    from convert.calibrated import Calibrated
    from convert.manifest import ImatrixRecord
    from convert.mixing import Mix
    from passes.calibration.observations import Observations
    from passes.smoothing.measuring import Measured

_TYPICAL_COLUMNS = 4096
_EIGHT_BITS = 8
_PREFERRED_BLOCK = 16

Calibrate = Callable[[str, ir.Model, "Awq | None"], "Calibrated"]
"""Finds the codes of a quantized graph by a method, after a pass that divided inputs, if any."""


@dataclass(frozen=True)
class Prepared:
    """An artifact that is ready to be written; ``observations`` if it holds what they measured, the
    ``mix`` that it is, if it is one, what was ``measured`` of the inputs of its layers, and the
    ``imatrix`` that its scales are weighted by.
    """

    artifact: Artifact
    target: Target
    model: ir.Model
    layout: Layout
    observations: Observations | None = None
    measured: Measured | None = None
    calibrated: Calibrated | None = None
    balancing: Balancing | None = None
    mix: Mix | None = None
    imatrix: ImatrixRecord | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.layout.files)

    @property
    def calibrated_record(self) -> CalibratedRecord | None:
        """What the manifest says of the method, if one was named."""
        method, found = self.artifact.method, self.balancing.found if self.balancing else None
        if self.calibrated is not None:
            return self.calibrated.record.model_copy(update={"method": method})
        if method is None or found is None:
            return None
        return CalibratedRecord(method=method, text_sha256=found.text_sha256, tokens=found.tokens)

    @property
    def is_weighted(self) -> bool:
        """Whether scales are chosen by second moments, see `passes.weighting`."""
        return self.model.metadata_props.get(AWAITING, "0") != "0"

    def meant(self, weight: Weight) -> Weight:
        """What is stored for a weight, where codes were found for it, else the weight itself."""
        return self.calibrated.codes.meant(weight) if self.calibrated else weight

    @property
    def loses_precision(self) -> bool:
        """Whether the encoding alone moves the logits so far that it would hide a mistake."""
        return _bits(main_encoding(self.artifact)) < _EIGHT_BITS


def resolve_encoding(artifact: Artifact) -> Artifact:
    """The artifact with its target's default encoding filled in.

    Raises:
        UsageError: There is no such target.
        UnsupportedEncodingError: The target does not store the encoding.
    """
    target = target_named(artifact.format)
    name = artifact.encoding or target.default_encoding
    if artifact.is_mix:
        name = _beside_a_mix(target, artifact)
    stored = {*target.encodings, *target.mixes, *target.fallback_of}
    if name not in stored and encoding(name).family not in stored:
        raise UnsupportedEncodingError(
            f"target {target.name} does not store {name}",
            expected=f"one of {', '.join(dict.fromkeys((*target.encodings, *target.mixes)))}",
            remedy="choose one of these, or another target",
        )
    return artifact.model_copy(update={"encoding": name})


def main_encoding(artifact: Artifact) -> str:
    """The encoding of most linear layers, if nothing in the artifact or in the model departs."""
    target = target_named(artifact.format)
    name = artifact.encoding or target.default_encoding
    return target.mixes.get(name, name)


def _beside_a_mix(target: Target, artifact: Artifact) -> str:
    """Encoding of what cannot be measured, should there be such linear layers."""
    surplus = {"encoding": artifact.encoding, "method": artifact.method}
    for key, value in surplus.items():
        if value is not None:
            raise UsageError(
                f"{artifact.folder} names a goal that encodings are mixed for, and {key} {value}",
                remedy=f"leave out {key}; candidates narrow what is mixed, overrides fix a part",
            )
    return target.eight_bit or target.default_encoding


def open_source(checkpoint: Checkpoint) -> Source:
    """Parse the checkpoint's config and hold its tensors against it.

    Raises:
        UnsupportedError: The architecture or a key of the config is not supported.
        BrokenInputError: Config and tensors contradict each other.
    """
    architecture = architecture_of(checkpoint.config)
    config = architecture.parse(checkpoint.config)
    require_tensors(checkpoint, architecture.parameters(config))
    return Source(checkpoint.label, checkpoint.folder, checkpoint.config, config)


def prepare(
    checkpoint: Checkpoint,
    source: Source,
    artifact: Artifact,
    *,
    tokenizer: bool,
    strict: bool,
    observe: Callable[[], Observations | None] = lambda: None,
    weighting: Callable[[], Weighting | None] = lambda: None,
    calibrate: Calibrate | None = None,
    measure: Measure = lambda alphas: None,
    balance: Balance = lambda encodings: None,
    imatrix: bool = False,
) -> Prepared:
    """Build, rewrite, quantize and lay out one artifact.

    Args:
        artifact: With its encoding resolved.
        tokenizer: Whether to carry the tokenizer over.
        strict: Refuse where a tensor does not fit the encoding, rather than fall back.
        observe: Calibrates, if the artifact needs that; gives None where no text is wanted.
        weighting: Asked for if there are scales that can be weighted; gives None likewise.
        calibrate: Finds the codes of a quantized graph by the artifact's method.
        measure: Measures the inputs of layers, if any take 8 bits; gives None as ``observe`` does.
        balance: Finds what AWQ divides inputs by, if that is the method; gives None likewise.
        imatrix: Whether scales are weighted by an imatrix file, see `Target.assign`.

    Raises:
        UnsupportedError: The model cannot be expressed for the target.
        UsageError: An option of the artifact is wrong.
        DoesNotFitError: The devices that the artifact is for cannot hold it.
    """
    _require_whole_weights(artifact)
    target = _target_for(source.config, artifact)
    assigned = _assigned(artifact, source.config, checkpoint.weights, imatrix)
    policy = _policy(target, artifact, strict, assigned)
    smooth = smoothing(artifact, target, policy, measure)
    build = partial(architecture_of(checkpoint.config).build, source.config, checkpoint.weights)
    balanced = balancing(artifact, build, smooth.policy, balance)
    divide = one_division(artifact, smooth.rewrite, balanced.rewrite if balanced else None)

    def request(rank: int | None = None) -> LayoutRequest:
        """What the target lays out for the whole model, or for one rank of several."""
        model = build()
        for rewrite in _passes(target, artifact, smooth.policy, rank, divide):
            rewrite(model)
        _await_moments(artifact, model, weighting)
        asked = LayoutRequest(
            source, model, tokenizer=tokenizer, options=options, encoding=_named(artifact)
        )
        return replace(asked, input_ranges=smooth.input_ranges(model))

    options = deployment_options(artifact)
    whole, ranks = request(), range(artifact.tensor_parallel or 0)
    require_fit(target, whole)
    seen = observe() if target.needs_observations(whole.model, options) else None
    parts = [replace(request(rank), observations=seen) for rank in ranks]
    layout = lay_out(target, replace(whole, observations=seen), parts)
    made = Prepared(artifact, target, whole.model, layout, seen, smooth.measured)
    return _with_codes(replace(made, balancing=balanced), calibrate)


def _await_moments(
    artifact: Artifact, model: ir.Model, weighting: Callable[[], Weighting | None]
) -> None:
    """Let the scales of a quantized graph be weighted, unless a method finds its codes."""
    awaited = artifact.code_method is None and any(weightable_layers(model))
    weigh = weighting() if awaited else None
    if weigh is not None:
        weigh(model)


def _require_whole_weights(artifact: Artifact) -> None:
    if artifact.code_method is not None and artifact.tensor_parallel is not None:
        raise UsageError(
            f"{artifact.folder} is cut for several devices, and {artifact.code_method} finds codes "
            "of whole weights",
            remedy="leave out the method, or tensor_parallel",
        )


def _with_codes(made: Prepared, calibrate: Calibrate | None) -> Prepared:
    """An artifact that copies the codes which its method finds, if it names one."""
    method = made.artifact.code_method
    if method is None or calibrate is None:
        return made
    found = calibrate(method, made.model, made.balancing.rewrite if made.balancing else None)
    return replace(made, layout=found.codes.put_into(made.layout), calibrated=found)


def deployment_options(artifact: Artifact) -> Mapping[str, Any]:
    """The artifact's options, which have its ranks where they say how many devices there are.

    Raises:
        UsageError: They say another number.
    """
    if artifact.tensor_parallel is None:
        return artifact.options
    target = target_named(artifact.format)
    return target.options_for_ranks(artifact.options, artifact.tensor_parallel)


def stored_graph(
    raw_config: Mapping[str, Any],
    config: DecoderConfig,
    weights: Mapping[str, Weight],
    artifact: Artifact,
    *,
    strict: bool,
    imatrix: bool = False,
    built: ir.Model | None = None,
) -> ir.Model:
    """The graph of an artifact with the encoding of each parameter; no file, no weight read.

    Args:
        raw_config: config.json as it is.
        config: The same, normalized.
        weights: Every parameter of the model; their shapes are enough.
        artifact: With its encoding resolved.
        strict: As for `prepare`.
        imatrix: As for `prepare`.
        built: The model's float graph, which is rewritten; None builds it.

    Raises:
        UnsupportedError: The model cannot be expressed for the target.
        UsageError: An option of the artifact is wrong.
    """
    target = _target_for(config, artifact)
    model = built or architecture_of(raw_config).build(config, weights)
    policy = _policy(target, artifact, strict, _assigned(artifact, config, weights, imatrix))
    for rewrite in _passes(target, artifact, policy, None):
        rewrite(model)
    return model


def _target_for(config: DecoderConfig, artifact: Artifact) -> Target:
    """The artifact's target, which must be able to express the model."""
    target = target_named(artifact.format)
    writable = config.imported and target.writes_graphs
    known = target.imported_families if config.imported else target.families
    if config.family not in known and not writable:
        raise UnsupportedError(
            f"target {target.name} cannot express {config.family} models",
            expected=f"one of {', '.join(sorted(target.families | target.imported_families))}",
            found=target.refusals.get(config.family),
            remedy="choose another target; see `convert list targets`",
        )
    return target


def _passes(
    target: Target,
    artifact: Artifact,
    policy: Policy,
    rank: int | None,
    divide: InputDivision | None = None,
) -> tuple[Pass, ...]:
    """All passes, in order. Inputs are divided while layers are whole. A model is cut just before
    it gets a cache, which is then of a rank's own heads, and before it is quantized, in blocks
    that then lie on one rank.
    """
    steps = (*_asked_passes(artifact), *target.passes(artifact.options))
    at = next((i for i, step in enumerate(steps) if isinstance(step, CacheForm)), len(steps))
    own: list[Pass] = [] if divide is None else [divide]
    if rank is not None:
        names = (policy.default, *(name for _, name in policy.overrides))
        block = math.lcm(*(_block(encoding(name)) for name in names))
        own.append(TensorParallel(artifact.tensor_parallel or 0, rank, block=block))
    return (*steps[:at], *own, *steps[at:], Quantize(policy))


def _asked_passes(artifact: Artifact) -> tuple[Pass, ...]:
    """Those of other packages that a recipe names."""
    return tuple(added_pass(name)() for name in artifact.passes)


def _block(stored: Encoding) -> int:
    """Weights of a row that one scale covers; where one covers a row, or none is, those that
    runtimes like to have together.
    """
    planes = {plane.name: plane for plane in stored.planes(_TYPICAL_COLUMNS)}
    scales = math.prod(planes["scales"].row_shape) if "scales" in planes else 1
    return _TYPICAL_COLUMNS // scales if scales > 1 else _PREFERRED_BLOCK


def _named(artifact: Artifact) -> str | None:
    """The encoding that a recipe names; a mix found by measurement has none."""
    return None if artifact.is_mix else artifact.encoding


def _assigned(
    artifact: Artifact, config: DecoderConfig, weights: Mapping[str, Weight], imatrix: bool
) -> Assignment | None:
    target = target_named(artifact.format)
    name = artifact.encoding or target.default_encoding
    return target.assign(name, config, weights, imatrix=imatrix) if name in target.mixes else None


def _policy(
    target: Target, artifact: Artifact, strict: bool, assigned: Assignment | None
) -> Policy:
    def stored(name: str) -> str:
        return target.stored_as(name, artifact.options)

    main = main_encoding(artifact)
    if assigned is None:
        tables = _table_encoding(target, main)
        assigned = Assignment(main, tables, tables)
    return Policy(
        default=stored(assigned.default),
        embeddings=stored(artifact.embeddings or assigned.embeddings),
        head=stored(artifact.head or assigned.head),
        overrides=tuple((item.pattern, stored(item.encoding)) for item in artifact.overrides),
        allowed=target.encodings,
        fallbacks=target.fallbacks,
        fallback_of=target.fallback_of,
        assigned=assigned.layers,
        vectors=target.vector_encodings.get(encoding(main).family, target.vector_encoding),
        power_of_two_groups=target.power_of_two_groups,
        one_group_size=target.one_group_size,
        strict=strict,
    )


def _table_encoding(target: Target, main: str) -> str:
    """Encoding of embeddings and head unless asked otherwise."""
    family = encoding(main).family
    if family in target.table_encodings:
        return target.table_encodings[family]
    return target.eight_bit if target.eight_bit and _bits(main) < _EIGHT_BITS else main


def _bits(name: str) -> float:
    """Bits a weight of the encoding called ``name``, scales included, in rows of usual length."""
    return 8 * encoding(name).nbytes(1, _TYPICAL_COLUMNS) / _TYPICAL_COLUMNS
