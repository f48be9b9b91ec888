"""Static programs with their weights and caches, ready to run: those of an artifact's files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from convert.errors import RunnerCrashedError, UnsupportedError, UsageError
from targets.gaudi.audit import load_program
from targets.gaudi.programs import DECODE_FILE

_PREFILL_FILES = "prefill-*.pt2"

Step = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Of ids ``[B, S]``, mask ``[B, L]``, positions ``[B, S]`` and the first slot ``[1]``: logits."""


class Programs(ABC):
    """One program for each number of new tokens, all writing the same caches.

    Attributes:
        batch: Sequences in a batch.
        context: Slots of the caches.
        buckets: New tokens of each program, ascending; the first is 1.
        caches: By name; written in place.
    """

    batch: int
    context: int
    buckets: tuple[int, ...]
    caches: dict[str, Tensor]

    def forget(self) -> None:
        """Let the caches hold no token.

        Masks hide old keys and values, but nothing hides the tokens that convolutions remember.
        """
        for cache in self.caches.values():
            cache.zero_()

    @abstractmethod
    def step(self, tokens: int) -> Step:
        """The program of the bucket ``tokens``."""

    @abstractmethod
    def reserve(self, batch: int, tokens: int) -> None:
        """See to it that ``batch`` sequences of ``tokens`` tokens have room.

        What the caches hold may be lost if the batch is another than before.

        Raises:
            UnsupportedError: The programs are for a smaller batch.
            UsageError: They are for shorter sequences.
        """


class FilePrograms(Programs):
    """The programs that lie beside the weights of an artifact.

    Args:
        artifact: The folder, with `DECODE_FILE`.
        tensors: What its safetensors files hold; not copied.

    Raises:
        RunnerCrashedError: A program cannot be read, or wants other weights.
    """

    def __init__(self, artifact: Path, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self._files = {1: artifact / DECODE_FILE}
        for path in artifact.glob(_PREFILL_FILES):
            tokens = path.stem.partition("-")[2]
            if tokens.isdecimal():
                self._files[int(tokens)] = path
        self.buckets = tuple(sorted(self._files))
        self._steps: dict[int, Step] = {}
        self.caches = {}
        decode = _load(self._files[1])
        self.batch, self.context = arguments_of(decode, DECODE_FILE)[1].shape
        self._steps[1] = self._bind(decode, DECODE_FILE)

    def step(self, tokens: int) -> Step:
        if tokens not in self._steps:
            path = self._files[tokens]
            self._steps[tokens] = self._bind(_load(path), path.name)
        return self._steps[tokens]

    def reserve(self, batch: int, tokens: int) -> None:
        if batch > self.batch:
            raise UnsupportedError(
                f"the artifact's programs are for a batch of {self.batch}",
                expected=f"at most {self.batch} sequences",
                found=f"{batch} sequences",
                remedy=f"use --batch {self.batch}, or convert with a larger batch in the options",
            )
        if tokens > self.context:
            raise UsageError(
                f"the artifact's programs hold sequences of {self.context} tokens",
                found=f"{tokens} tokens",
                remedy="convert with larger prompt_tokens or new_tokens in the options",
            )

    def _bind(self, program: ExportedProgram, name: str) -> Step:
        """Give a program its weights and caches."""
        *_, weights, caches = arguments_of(program, name)
        given = {wanted: self._weight(wanted, like, name) for wanted, like in weights.items()}
        for wanted, like in caches.items():
            if wanted not in self.caches:
                self.caches[wanted] = torch.zeros(like.shape, dtype=like.dtype)
        own = {wanted: self.caches[wanted] for wanted in caches}
        return bind(program, [*given.values(), *own.values()])

    def _weight(self, wanted: str, like: Tensor, name: str) -> Tensor:
        found = self._tensors.get(wanted)
        if found is None or found.shape != like.shape or found.dtype != like.dtype:
            raise RunnerCrashedError(
                f"{name} does not belong to the weights beside it",
                expected=f"{wanted!r}, {like.dtype} of shape {list(like.shape)}",
                found="no such tensor"
                if found is None
                else f"{found.dtype} of shape {list(found.shape)}",
            )
        return found


def bind(program: ExportedProgram, tensors: Sequence[Tensor]) -> Step:
    """A program as a function of its inputs for one step, without checks.

    Args:
        program: Not decomposed, so that what it writes, it writes in place.
        tensors: Its weights and caches, in its order.
    """
    constants = {**program.constants, **program.state_dict}
    specs = program.graph_signature.input_specs
    bound = [constants[spec.target] for spec in specs if spec.target is not None]
    operations = program.graph_module

    def step(ids: Tensor, mask: Tensor, positions: Tensor, position: Tensor) -> Tensor:
        logits: Tensor = operations(*bound, ids, mask, positions, position, *tensors)[0]
        return logits

    return step


def _load(path: Path) -> ExportedProgram:
    try:
        return load_program(path)
    except Exception as error:
        raise RunnerCrashedError(f"{path.name} cannot be read", found=str(error)) from error


def arguments_of(program: ExportedProgram, name: str) -> tuple[Any, ...]:
    """The arguments of a program as it describes them: fake tensors, in dicts by name."""
    values = {
        node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"
    }
    leaves = [values[given] for given in program.graph_signature.user_inputs]
    positional, _ = pytree.tree_unflatten(leaves, program.call_spec.in_spec)
    if len(positional) != 6 or not all(isinstance(each, dict) for each in positional[4:]):
        raise RunnerCrashedError(
            f"{name} is no program of a decoder",
            expected="ids, mask, positions and slot, weights and caches by name",
        )
    arguments: tuple[Any, ...] = positional
    return arguments
