"""The contract of a target: what it can store, the files it lays out, and how they are run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedError
from targets.runner import Message, Runner
from targets.usage import UsageStep

if TYPE_CHECKING:
    # Running an artifact needs none of this, and the graph library alone takes half a second.
    import onnx_ir as ir

    from convert.architectures.base import DecoderConfig
    from convert.weights import Weight
    from passes.base import Pass
    from passes.calibration.observations import Observations
    from passes.calibration.observers import InputRange
    from passes.encodings.base import Encoding
    from targets.deployment import DeploymentPlan, LayoutCost, Workload

__all__ = (
    "Assignment",
    "Columns",
    "Layout",
    "LayoutRequest",
    "Message",
    "OutputFile",
    "Placement",
    "Runner",
    "Source",
    "Target",
    "TargetFactory",
    "UsageStep",
    "WriteJob",
)


@dataclass(frozen=True)
class Source:
    """The checkpoint as a target sees it.

    Args:
        label: Name of the model for metadata; never a path of this machine.
        folder: Holds config.json and, if the model has one, the tokenizer's files.
        raw_config: config.json as it is.
        config: The same, normalized.
    """

    label: str
    folder: Path
    raw_config: Mapping[str, Any]
    config: DecoderConfig


@dataclass(frozen=True)
class Columns:
    """A plane that lies transposed: all rows of its first unit, all rows of its second, ...

    Args:
        unit: Bytes of a row that stay together; divides those of a row.
        flipped: Bits of every byte that are stored inverted; 0x88 makes unsigned 4-bit codes of
            signed ones, as adding 8 does.
    """

    unit: int
    flipped: int = 0


@dataclass(frozen=True)
class Placement:
    """Where one plane of a weight goes: a file of the artifact and a byte offset in it.

    Args:
        file: Path below the artifact's folder.
        offset: Of the plane's first byte.
        columns: How the plane lies there if not row by row.
    """

    file: str
    offset: int
    columns: Columns | None = None


@dataclass(frozen=True)
class WriteJob:
    """One weight to be encoded into one or more places.

    Args:
        weight: What to read.
        encoding: How to store it.
        placements: One for each plane of the encoding, in its order.
        row_order: Row ``i`` of the output is row ``row_order[i]`` of the weight; None keeps
            the order.
    """

    weight: Weight
    encoding: Encoding
    placements: tuple[Placement, ...]
    row_order: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class OutputFile:
    """A file of the artifact with its final size, known before any weight is read.

    Args:
        path: Relative to the artifact's folder.
        size: Bytes.
        segments: Bytes known already, by offset; write jobs fill the rest, gaps stay zero.
    """

    path: str
    size: int
    segments: tuple[tuple[int, bytes], ...] = ()

    @classmethod
    def whole(cls, path: str, data: bytes) -> OutputFile:
        """A file whose contents are known altogether."""
        return cls(path, len(data), ((0, data),))


@dataclass(frozen=True)
class Layout:
    """Everything a target will write: files with sizes, and the jobs that fill them.

    Args:
        notes: What a user should know, one sentence each (a fallback, a feature left out).
    """

    files: tuple[OutputFile, ...]
    jobs: tuple[WriteJob, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayoutRequest:
    """What a target needs to lay out its artifact.

    Args:
        model: The graph after the target's passes; its parameters carry their encodings.
        tokenizer: Whether to carry the tokenizer over.
        options: The target's own settings from the recipe; unknown keys are refused.
        observations: What calibration saw; None if the target does not need it, or there was no
            calibration.
        input_ranges: By name of its weight, where the input of a layer lies that takes 8 bits, as
            calibration saw it; empty unless the target has `fixed_input_ranges`.
        encoding: What the recipe asks for, if it names it: an encoding or one of `Target.mixes`.
    """

    source: Source
    model: ir.Model
    tokenizer: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    observations: Observations | None = None
    input_ranges: Mapping[str, InputRange] = field(default_factory=dict)
    encoding: str | None = None


@dataclass(frozen=True)
class Assignment:
    """The encodings of an artifact's tensors under a name that stands for several.

    Args:
        default: Of linear layers.
        embeddings: Of embeddings, tied ones included.
        head: Of a head of its own.
        layers: Of linear layers that have another, by name.
    """

    default: str
    embeddings: str
    head: str
    layers: Mapping[str, str] = field(default_factory=dict)


class Target(ABC):
    """A runtime that artifacts are made for."""

    name: ClassVar[str]
    summary: ClassVar[str]
    """What it emits and for whom, a short sentence."""

    encodings: ClassVar[tuple[str, ...]]
    """Names of the encodings it stores."""

    families: ClassVar[frozenset[str]]
    """The model families (`DecoderConfig.family`) it can express."""

    writes_graphs: ClassVar[bool] = False  # then it expresses whatever its operators do
    imported_families: ClassVar[frozenset[str]] = frozenset()
    """The families that it can express by their imported graphs although it writes none."""

    refusals: ClassVar[Mapping[str, str]] = {}
    """Why it cannot express a family, where there is a reason to tell."""

    requires_tokenizer: ClassVar[bool] = False
    eight_bit: ClassVar[str | None] = None
    """Encoding for embeddings and head unless asked otherwise, when the rest has fewer bits."""
    table_encodings: ClassVar[Mapping[str, str]] = {}
    """By the family of the rest's encoding: as `eight_bit`, where it is not what that says."""

    fallbacks: ClassVar[tuple[str, ...]] = ("bf16",)
    """Encodings tried in order for a matrix whose rows the asked one does not fit; the last
    fits every row."""

    fallback_of: ClassVar[Mapping[str, str]] = {}
    """By name or family of an encoding: what is tried before `fallbacks` where it does not fit, or
    where it is not one of `encodings`."""

    mixes: ClassVar[Mapping[str, str]] = {}
    """Names that stand for an encoding of each tensor by rules of the runtime's own tools, see
    `assign`, and the encoding that most linear layers have then."""

    mix_candidates: ClassVar[tuple[str, ...]] = ()
    """Encodings that a mix found by measurement chooses from unless a recipe lists them; none for
    all that it can."""

    power_of_two_groups: ClassVar[bool] = False
    """Whether the runtime takes no other group sizes."""

    fused: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Linear layers of one module that the runtime makes one of, such as ``(("q_proj", "k_proj",
    "v_proj"),)``: a mix stores them alike."""

    stacked_experts: ClassVar[bool] = False
    """Whether the experts of a layer lie in one tensor: a mix stores them alike."""

    one_group_size: ClassVar[bool] = False
    """Whether all matrices of an artifact that are in groups must have groups of one size."""

    vector_encoding: ClassVar[str] = "f32"
    """Encoding of norms and biases."""

    vector_encodings: ClassVar[Mapping[str, str]] = {}
    """By the family of the encoding of the rest: that of norms and biases, where it is not
    `vector_encoding`."""

    default_encoding: ClassVar[str]

    fixed_input_ranges: ClassVar[bool] = False
    """Whether inputs of 8 bits are rounded in ranges that calibration finds, rather than token by
    token when the model runs."""

    runs_in_torch: ClassVar[bool] = False
    """Whether its runner needs torch; the runners of others live without it, so as not to spend
    seconds and memory on libraries that import it if they can."""

    option_names: ClassVar[tuple[str, ...]] = ()
    """Names of the settings that an artifact of a recipe may have under ``options``."""

    library: ClassVar[str | None] = None
    """What model hubs call the runtime: ``library_name`` of a model card."""

    def stored_as(self, encoding: str, options: Mapping[str, Any]) -> str:
        """Name of the encoding that a recipe's ``encoding`` is with these options, for targets
        whose hardware decides about details of it.

        Raises:
            UsageError: An option is unknown or has a value it cannot have.
            UnsupportedEncodingError: The hardware has no such encoding.
        """
        return encoding

    def assign(
        self, name: str, config: DecoderConfig, parameters: Iterable[str], *, imatrix: bool
    ) -> Assignment | None:
        """The encodings that one of `mixes` stands for; None for an encoding.

        Args:
            name: What a recipe's ``encoding`` says.
            config: Of the model.
            parameters: Their names.
            imatrix: Whether scales are weighted by an imatrix file, which a tool may look at.
        """
        return None

    @abstractmethod
    def passes(self, options: Mapping[str, Any]) -> Sequence[Pass]:
        """The target's own passes over the float graph, in order (KV cache, ...).

        Raises:
            UsageError: An option is unknown or has a value it cannot have.
        """

    def needs_observations(self, model: ir.Model, options: Mapping[str, Any]) -> bool:
        """Whether the artifact of a graph holds figures that calibration measures.

        Raises:
            UsageError: An option is unknown or has a value it cannot have.
        """
        return False

    @abstractmethod
    def lay_out(self, request: LayoutRequest) -> Layout:
        """Every file with its size, every weight with its place. Reads no weight.

        Raises:
            UnsupportedError: The graph, the tokenizer or an option cannot be expressed.
        """

    def options_for_ranks(self, options: Mapping[str, Any], ranks: int) -> Mapping[str, Any]:
        """The options of an artifact of several ranks, where some say how many devices there are.

        Raises:
            UsageError: They say another number.
        """
        return options

    def lay_out_ranks(self, requests: Sequence[LayoutRequest]) -> Layout:
        """Every file of an artifact of several ranks, each of which computes a part of the model.

        Args:
            requests: For each rank, in order; the graphs are those of `TensorParallel`.

        Raises:
            UnsupportedError: As for `lay_out`, or the target has no form for ranks.
        """
        raise UnsupportedError(
            f"target {self.name} has no form for tensor parallelism",
            remedy="leave out tensor_parallel, or choose another target",
        )

    def plan_deployment(
        self, config: DecoderConfig, model: ir.Model, options: Mapping[str, Any]
    ) -> DeploymentPlan | None:
        """What the artifact will need on the devices that its options name.

        Args:
            model: The graph with the encoding of each parameter; no weight is read.
            options: As in `LayoutRequest`.

        Returns:
            None where the options name no devices, as for most targets.

        Raises:
            UsageError: An option is unknown or has a value it cannot have.
        """
        return None

    def workload(
        self, config: DecoderConfig, model: ir.Model, options: Mapping[str, Any]
    ) -> Workload:
        """What latencies are predicted for unless a user says more; as for `plan_deployment`."""
        from targets.deployment import usual_workload

        return usual_workload(config)

    def layout_cost(self, config: DecoderConfig, options: Mapping[str, Any]) -> LayoutCost:
        """What `lay_out` costs, with the libraries that it needs."""
        from targets.deployment import LayoutCost

        return LayoutCost()

    @abstractmethod
    def runner(self, artifact: Path, *, threads: int) -> Runner:
        """Load a finished artifact in its runtime.

        Raises:
            RunnerCrashedError: The runtime refuses the artifact.
            UsageError: The runtime is not installed; the message names the extra that has it.
        """

    def profiling_runner(self, artifact: Path, *, threads: int) -> Runner:
        """As `runner`, with times by kind of operator.

        Raises:
            UnsupportedError: The runtime tells no times; said before it loads anything.
        """
        raise UnsupportedError(
            f"the runtime of {artifact} tells no times by operator", remedy="leave out --profile"
        )

    def usage(self, files: Sequence[str], folder: str) -> tuple[UsageStep, ...]:
        """How to run an artifact in its runtime, for its model card.

        Args:
            files: Its files, relative to its folder.
            folder: The folder as the reader has it; letters, digits and ``-_./`` alone.
        """
        return ()

    @abstractmethod
    def stored_weights(self, artifact: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Every parameter of a finished artifact, decoded by a reader that is not our encoder.

        Yields:
            Name, shape and row order as in the checkpoint; float32.
        """


TargetFactory = Callable[[], Target]
