"""The contract of a target: what it can store, the files it lays out, and how they are run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedError

if TYPE_CHECKING:
    # Running an artifact needs none of this, and the graph library alone takes half a second.
    import onnx_ir as ir

    from convert.architectures.base import DecoderConfig
    from convert.weights import Weight
    from passes.base import Pass
    from passes.calibration.observations import Observations
    from passes.encodings.base import Encoding
    from targets.deployment import DeploymentPlan

Message = Mapping[str, str]
"""One turn of a chat: ``role`` and ``content``."""


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
class Placement:
    """Where one plane of a weight goes: a file of the artifact and a byte offset in it."""

    file: str
    offset: int


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
    """

    source: Source
    model: ir.Model
    tokenizer: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    observations: Observations | None = None


class Runner(ABC):
    """An artifact, loaded in the runtime that its users use.

    It holds either one sequence, by `reset` and `feed`, or a batch of them, by `begin` and
    `advance`; starting one way forgets what the other held.
    """

    context: int | None = None
    """Tokens that a sequence may have, prompt and continuation together; None for no limit."""

    stop_ids: frozenset[int] = frozenset()
    """Tokens that end a generation, as the artifact says."""

    @abstractmethod
    def reset(self) -> None:
        """Forget the sequence: an empty KV cache."""

    @abstractmethod
    def feed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Append tokens to the sequence.

        Returns:
            Logits ``[len(ids), vocab]``; row i predicts the token after ``ids[i]``.
        """

    def reserve(self, tokens: int) -> None:  # noqa: B027 - most runtimes grow as they go
        """Tell, before `begin`, how many tokens each sequence of the batch will have at most."""

    def begin(self, prompts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Forget everything and feed a batch of sequences, each with at least one token.

        What a sequence's logits are does not depend on which others are in its batch, beyond
        the rounding of the runtime.

        Returns:
            Logits ``[len(prompts), vocab]`` after the last token of each.

        Raises:
            UnsupportedError: The runtime holds no batch of this size.
        """
        if len(prompts) != 1:
            raise UnsupportedError(
                "this runtime computes one sequence at a time",
                expected="a batch of 1",
                found=f"a batch of {len(prompts)}",
                remedy="use --batch 1",
            )
        self.reset()
        return self.feed(prompts[0])[-1:]

    def advance(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Append one token to each sequence of the batch that `begin` started.

        Args:
            tokens: One a sequence, in order. A sequence whose end nobody wants to see any more
                is fed some token all the same.

        Returns:
            Logits ``[len(tokens), vocab]``.
        """
        return self.feed(tokens)[-1:]

    def logits(self, ids: Sequence[int], prefill: int) -> NDArray[np.float32]:
        """Logits ``[len(ids), vocab]`` of one sequence: a prefill, then token by token."""
        self.reset()
        parts = [self.feed(ids[:prefill])]
        parts += [self.feed([token]) for token in ids[prefill:]]
        return np.concatenate(parts)

    def generate(self, ids: Sequence[int], new_tokens: int, stop: frozenset[int]) -> list[int]:
        """Greedy continuation of ``ids``: at most ``new_tokens`` ids, ending before a stop id."""
        self.reset()
        generated: list[int] = []
        last = self.feed(ids)[-1]
        while len(generated) < new_tokens:
            token = int(last.argmax())
            if token in stop:
                break
            generated.append(token)
            last = self.feed([token])[-1]
        return generated

    def tokenize(self, text: str) -> list[int] | None:
        """Ids of ``text`` by the artifact's own tokenizer, no special tokens added, special
        tokens in the text not parsed; None if the artifact carries no tokenizer.
        """
        return None

    def prompt_ids(self, text: str, *, rendered: bool = False) -> list[int] | None:
        """Ids of a prompt, as the original's tokenizer makes them: special tokens in the text
        are parsed, those that begin every text come in front, none that end one behind.

        Args:
            rendered: A chat template wrote the text and has put in all special tokens itself.

        Returns:
            None if the artifact carries no tokenizer. Empty for an empty text, where the
            tokenizer puts nothing in front.
        """
        return None

    def detokenize(self, ids: Sequence[int]) -> str | None:
        """The text of ``ids`` by the artifact's own tokenizer, special tokens left out; None if
        the artifact carries no tokenizer.
        """
        return None

    def known_difference(self, text: str, tokenizer: Mapping[str, Any]) -> str | None:
        """Why this runtime is known to tokenize ``text`` otherwise than the original.

        Args:
            text: What is tokenized.
            tokenizer: The original's tokenizer.json.

        Returns:
            A documented limit of the runtime, or None if `tokenize` must agree.
        """
        return None

    def chat(self, messages: Sequence[Message]) -> str | None:
        """``messages`` by the artifact's own chat template, with the generation prompt;
        None if it carries no template.
        """
        return None

    def time_by_kind(self) -> Mapping[str, int]:
        """Microseconds that each kind of operator took in the last `feed`, if the runtime was
        loaded by `Target.profiling_runner` and tells; empty otherwise.
        """
        return {}

    def close(self) -> None:  # noqa: B027 - most runtimes are released with their objects
        """Release the runtime."""

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Target(ABC):
    """A runtime that artifacts are made for."""

    name: ClassVar[str]
    summary: ClassVar[str]
    """What it emits and for whom, a short sentence."""

    encodings: ClassVar[tuple[str, ...]]
    """Names of the encodings it stores."""

    families: ClassVar[frozenset[str]]
    """The model families (`DecoderConfig.family`) it can express."""

    refusals: ClassVar[Mapping[str, str]] = {}
    """Why it cannot express a family, where there is a reason to tell."""

    requires_tokenizer: ClassVar[bool] = False
    eight_bit: ClassVar[str | None] = None
    """Encoding for embeddings and head unless asked otherwise, when the rest has fewer bits."""

    table_encodings: ClassVar[Mapping[str, str]] = {}
    """By the family of the encoding of the rest: that of embeddings and head unless asked
    otherwise, where it is not what `eight_bit` says."""

    fallbacks: ClassVar[tuple[str, ...]] = ("bf16",)
    """Encodings tried in order for a matrix whose rows the asked one does not fit; the last
    fits every row."""

    power_of_two_groups: ClassVar[bool] = False
    """Whether the runtime takes no other group sizes."""

    vector_encoding: ClassVar[str] = "f32"
    """Encoding of norms and biases."""

    default_encoding: ClassVar[str]

    runs_in_torch: ClassVar[bool] = False
    """Whether its runner needs torch; the runners of others live without it, so as not to spend
    seconds and memory on libraries that import it if they can."""

    option_names: ClassVar[tuple[str, ...]] = ()
    """Names of the settings that an artifact of a recipe may have under ``options``."""

    def stored_as(self, encoding: str, options: Mapping[str, Any]) -> str:
        """Name of the encoding that a recipe's ``encoding`` is with these options, for targets
        whose hardware decides about details of it.

        Raises:
            UsageError: An option is unknown or has a value it cannot have.
            UnsupportedEncodingError: The hardware has no such encoding.
        """
        return encoding

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

    @abstractmethod
    def runner(self, artifact: Path, *, threads: int) -> Runner:
        """Load a finished artifact in its runtime.

        Raises:
            RunnerCrashedError: The runtime refuses the artifact.
            UsageError: The runtime is not installed; the message names the extra that has it.
        """

    def profiling_runner(self, artifact: Path, *, threads: int) -> Runner:
        """As `runner`, with times by kind of operator where the runtime has them."""
        return self.runner(artifact, threads=threads)

    @abstractmethod
    def stored_weights(self, artifact: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Every parameter of a finished artifact, decoded by a reader that is not our encoder.

        Yields:
            Name, shape and row order as in the checkpoint; float32.
        """


TargetFactory = Callable[[], Target]
