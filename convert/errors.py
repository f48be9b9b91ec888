"""Every error a user can meet: one class each, with the exit code it ends the program with."""

from __future__ import annotations

from typing import Any, ClassVar


class TricastError(Exception):
    """An error that is explained to the user instead of shown as a traceback.

    Args:
        what: What went wrong, one sentence, naming the file, tensor or option.
        expected: What would have been right.
        found: What was there instead.
        remedy: What the user can do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        expected: str | None = None,
        found: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(what)

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: a subclass may be made from other arguments than it keeps."""
        return _made_again, (type(self), self.what, self.__dict__)

    def __str__(self) -> str:
        details = (("expected", self.expected), ("found", self.found), ("to do", self.remedy))
        lines = (f"  {label}: {_shortened(text)}" for label, text in details if text)
        return "\n".join([_shortened(self.what), *lines])


def _made_again(kind: type[TricastError], what: str, details: dict[str, Any]) -> TricastError:
    error = kind.__new__(kind)
    Exception.__init__(error, what)
    error.__dict__.update(details)
    return error


def _shortened(text: str) -> str:
    """The text without its middle, if it is longer than anybody reads: it may quote an input."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


_LONGEST = 10_000


class UsageError(TricastError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe cannot be read or does not follow the schema."""


class ExtensionError(UsageError):
    """What another package adds cannot be loaded, or has a name that is taken."""


class OutputExistsError(UsageError):
    """The output folder of an artifact is already there."""


class OutputBusyError(UsageError):
    """Another run is writing to the same output folder."""


class ResumeError(UsageError):
    """What an interrupted run left cannot be gone on from: it was making something else."""


class UnavailableSourceError(UsageError):
    """The checkpoint is named but cannot be reached: no such folder, or a hub id while offline."""


class UnavailableDestinationError(UsageError):
    """An artifact cannot be published there: no such place, no right to it, or no answer."""


class UnavailableWorkersError(UsageError):
    """The cluster cannot be reached, or its workers cannot do what they are for."""


class GoldenMismatchError(UsageError):
    """The recording given as golden was made from another model."""


class GateError(TricastError):
    """An artifact does not match the original closely enough to be shipped."""

    exit_code = 3


class RunnerCrashedError(GateError):
    """The runtime of an artifact refused it or died while running it."""


class VerificationError(GateError):
    """A finished artifact no longer is what its manifest says."""


class SignatureError(VerificationError):
    """The signature is missing, of another key, or of something else than what is there."""


class NotReproducedError(VerificationError):
    """What a manifest says was made again, and came out otherwise."""


class UnsupportedError(TricastError):
    """The input is sound, but this model or combination is not supported."""

    exit_code = 4


class UnsupportedArchitectureError(UnsupportedError):
    """The checkpoint's architecture is unknown, or needs code from the checkpoint."""


class UnsupportedConfigError(UnsupportedError):
    """A configuration key changes the mathematics in a way that is not implemented."""


class UnsupportedEncodingError(UnsupportedError):
    """A target cannot store the encoding, or (strict) a tensor does not divide by its group."""


class UnsupportedTokenizerError(UnsupportedError):
    """The tokenizer is absent where a target needs it, or cannot be carried over faithfully."""


class PassRefusedError(UnsupportedError):
    """A pass cannot rewrite this graph.

    Args:
        reason: Why not.
        node: Name of the node that stands in the way, or the graph's name.
    """

    def __init__(self, reason: str, node: str) -> None:
        self.reason = reason
        self.node = node
        super().__init__(f"{reason} (at node {node!r})")


class GraphCaptureError(UnsupportedError):
    """A graph capture could not hold an exported program.

    Args:
        program: Its file's name.
        reason: What it does.
        node: Where: a node of its graph, or a symbol.
        remedy: What to do instead.
    """

    def __init__(self, program: str, reason: str, node: str, *, remedy: str | None = None) -> None:
        self.reason = reason
        self.node = node
        what = f"{program} cannot be captured as a graph: {reason} (at node {node!r})"
        super().__init__(what, remedy=remedy)


class ResourceError(TricastError):
    """This machine, or the one a model is meant for, has not enough memory or disk."""

    exit_code = 5


class DiskFullError(ResourceError):
    """The file system has, or would have, no room for the output."""


class OutOfMemoryError(ResourceError):
    """The step needs more memory than this machine has free."""


class DoesNotFitError(ResourceError):
    """The devices that a model is meant for have not enough memory for it."""


class BrokenInputError(TricastError):
    """The input is damaged or contradicts itself."""

    exit_code = 6


class MissingFileError(BrokenInputError):
    """A file that the checkpoint refers to is not there."""


class TruncatedFileError(BrokenInputError):
    """A file ends before the data that its header promises."""


class BadHeaderError(BrokenInputError):
    """A header cannot be parsed, or its offsets, dtypes and shapes contradict each other."""


class UnsafePathError(BrokenInputError):
    """An index points outside the checkpoint's folder."""


class UnsafePickleError(BrokenInputError):
    """A pickle holds more than tensors; it is not loaded."""


class TensorMismatchError(BrokenInputError):
    """The tensors of a checkpoint are not the ones its configuration calls for."""


class NonFiniteWeightError(BrokenInputError):
    """A weight is NaN or infinite."""


class ChangedInputError(BrokenInputError):
    """An input file changed while it was being converted, or since an interrupted run."""


class InterruptedRunError(TricastError):
    """The user stopped the run."""

    exit_code = 130
