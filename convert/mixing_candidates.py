"""Which weights a mix decides about, and the encodings that each of them may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import onnx_ir as ir

from convert.errors import UnsupportedEncodingError, UsageError
from convert.graph import Role, parameters, roles
from convert.parameter import Parameter
from convert.recipe import Artifact
from passes.encodings import encoding
from passes.encodings.base import Encoding
from passes.encodings.fp8 import Fp8
from passes.encodings.integers import IntegerEncoding
from targets.base import Target

MOST_BITS = 16.5
"""A weight, scales included; what takes more is no saving."""

_TYPICAL_COLUMNS = 4096


@dataclass(frozen=True)
class Slot:
    """A weight whose encoding is open.

    Args:
        name: Of the weight.
        role: What it does.
        parameter: Its shape, and how it would be stored without a mix.
        candidates: What it may be stored as; one if a recipe says which.
    """

    name: str
    role: Role
    parameter: Parameter
    candidates: tuple[Encoding, ...]

    def nbytes(self, candidate: Encoding) -> int:
        """Bytes of the weight in an encoding."""
        return candidate.nbytes(self.parameter.weight.rows, self.parameter.weight.columns)

    def named(self, name: str) -> Encoding:
        """The candidate of that name."""
        return next(each for each in self.candidates if each.name == name)

    def keeps_all(self, candidate: Encoding) -> bool:
        """Whether an encoding changes no value of the weight."""
        return self.parameter.weight.dtype.value in candidate.lossless_from


def slots(stored: ir.Model, plain: ir.Model, target: Target, artifact: Artifact) -> list[Slot]:
    """The linear layers, the head and the embeddings, in the order of the float graph.

    A weight that the target's passes made of others is no slot: it has no counterpart that could
    be measured.

    Args:
        stored: The artifact's graph, its weights stored as without a mix.
        plain: The float graph of the same model.
        artifact: What a recipe fixes by ``overrides``, ``embeddings`` or ``head`` stays so.

    Raises:
        UsageError: The target, or the recipe, leaves nothing to choose from.
        UnsupportedEncodingError: The target does not store what the recipe lists.
    """
    names = candidate_names(target, artifact)
    role_of, held = roles(stored), parameters(stored)
    found = []
    for name in parameters(plain):
        role = role_of.get(name, Role.OTHER)
        if role in (Role.OTHER, Role.ROUTER):
            continue
        fixed = _fixed(name, role, artifact)
        fitting = (_fixed_encoding(held[name]),) if fixed else _fitting(names, held[name], target)
        found.append(Slot(name, role, held[name], fitting))
    return _in_one_group_size(found) if target.one_group_size else found


def candidate_names(target: Target, artifact: Artifact) -> tuple[str, ...]:
    """Names of the encodings that a mix for the target chooses from.

    Raises:
        UsageError: There are fewer than two.
        UnsupportedEncodingError: The target does not store what the recipe lists.
    """
    asked = artifact.candidates or target.mix_candidates or target.encodings
    names = tuple(dict.fromkeys(target.stored_as(name, artifact.options) for name in asked))
    for name in names:
        if not {name, encoding(name).family} & set(target.encodings):
            raise UnsupportedEncodingError(
                f"target {target.name} does not store the candidate {name}",
                expected=f"some of {', '.join(target.encodings)}",
            )
    usable = tuple(name for name in names if _can_be_mixed(encoding(name)))
    if artifact.candidates and len(usable) < len(names):
        left = [name for name in names if name not in usable]
        raise UsageError(
            f"a mix cannot choose {', '.join(left)}",
            expected="encodings of at most 16 bits that round weights alone, not their inputs",
        )
    if len(usable) < 2:
        raise UsageError(
            f"there is nothing to mix for target {target.name}",
            expected="two encodings or more that round weights alone",
            found=", ".join(usable) or "none",
            remedy="choose an encoding, without target_bits and max_kld",
        )
    return usable


def _can_be_mixed(candidate: Encoding) -> bool:
    """FP8 rounds the inputs, too, and what that costs is not measured here."""
    rounds_inputs = candidate.input_bits is not None or isinstance(candidate, Fp8)
    return not rounds_inputs and candidate.bits_per_weight(_TYPICAL_COLUMNS) <= MOST_BITS


def _in_one_group_size(found: Sequence[Slot]) -> list[Slot]:
    """The same slots, every group as small as the smallest of them."""
    sizes = {_group_of(each) for slot in found for each in slot.candidates} - {None}
    if len(sizes) < 2:
        return list(found)
    smallest = min(size for size in sizes if size is not None)
    regrouped = []
    for slot in found:
        names = (_regrouped(each, smallest) for each in slot.candidates)
        regrouped.append(replace(slot, candidates=tuple(map(encoding, dict.fromkeys(names)))))
    return regrouped


def _regrouped(candidate: Encoding, size: int) -> str:
    in_groups = _group_of(candidate) not in (None, size)
    return encoding(f"{candidate.family}_g{size}").name if in_groups else candidate.name


def _group_of(candidate: Encoding) -> int | None:
    return candidate.group if isinstance(candidate, IntegerEncoding) else None


def _fixed(name: str, role: Role, artifact: Artifact) -> bool:
    by_role = {Role.EMBEDDING: artifact.embeddings, Role.HEAD: artifact.head}
    return bool(by_role.get(role)) or any(
        fnmatchcase(name, override.pattern) for override in artifact.overrides
    )


def _fixed_encoding(parameter: Parameter) -> Encoding:
    return parameter.encoding or encoding(parameter.weight.dtype.value)


def _fitting(names: Sequence[str], parameter: Parameter, target: Target) -> tuple[Encoding, ...]:
    """The candidates as they are for the rows of a weight. One that changes no weight spares
    others of as many bytes.
    """
    weight = parameter.weight
    found: dict[str, Encoding] = {}
    for name in names:
        fitted = encoding(name).fit(weight.columns, power_of_two=target.power_of_two_groups)
        if fitted is not None:
            found[fitted.name] = fitted
    exact = [each for each in found.values() if weight.dtype.value in each.lossless_from]
    least = min((each.nbytes(1, weight.columns) for each in exact), default=None)
    kept = (
        [
            each
            for each in found.values()
            if each is exact[0] or each.nbytes(1, weight.columns) < least
        ]
        if least is not None
        else list(found.values())
    )
    return tuple(kept) or (_fixed_encoding(parameter),)
