"""W → decode(encode(W)): choose for every parameter how it will be stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import ClassVar

import onnx_ir as ir

from convert.errors import RecipeError, UnsupportedEncodingError
from convert.graph import Role, parameters, roles
from convert.parameter import Parameter
from passes.base import Pass
from passes.encodings import encoding
from passes.encodings.base import Encoding
from passes.encodings.integers import IntegerEncoding


@dataclass(frozen=True)
class Policy:
    """Which encoding each parameter gets. Encodings are given by name.

    Args:
        default: For the matrices of linear layers.
        embeddings: For embedding matrices, tied ones included.
        head: For an output head of its own.
        overrides: Pairs of a glob pattern over parameter names and an encoding; the first
            pattern that matches decides.
        allowed: What the target stores. A group size set by name counts as its family.
        fallbacks: Tried in order for rows that the asked encoding does not fit.
        fallback_of: By name or family of an encoding: what is tried before those; what that has
            here, next. One that is not allowed is replaced by it.
        assigned: By name of a linear layer's matrix: its encoding, if it is not the default.
        vectors: For norms, biases and routers; None keeps the float type of the checkpoint.
        power_of_two_groups: Whether the target takes no other group sizes.
        one_group_size: Whether the target takes one for all: the largest power of two that fits
            every tensor in groups, not above any that was asked for.
        strict: Refuse rather than fall back.
        unsuited: Why a fallback is taken, by name of a linear layer's matrix that does not suit
            the default. An override asks for its encoding nevertheless.
    """

    default: str
    embeddings: str
    head: str
    overrides: tuple[tuple[str, str], ...]
    allowed: tuple[str, ...]
    fallbacks: tuple[str, ...] = ("bf16",)
    fallback_of: Mapping[str, str] = field(default_factory=dict)
    assigned: Mapping[str, str] = field(default_factory=dict)
    vectors: str | None = "f32"
    power_of_two_groups: bool = False
    one_group_size: bool = False
    strict: bool = False
    unsuited: Mapping[str, str] = field(default_factory=dict)

    def override(self, name: str) -> str | None:
        """The encoding that the first matching override asks for; None if there is none."""
        matching = (item for pattern, item in self.overrides if fnmatchcase(name, pattern))
        return next(matching, None)


@dataclass(frozen=True)
class TensorCoverage:
    """How one parameter is stored.

    Args:
        name: As in the checkpoint.
        shape: As in the checkpoint.
        role: ``embedding``, ``head``, ``linear`` or ``other``.
        encoding: Name of the encoding.
        bits_per_weight: Of all its planes together.
        nbytes: Of all its planes together.
        fallback: Why the encoding is not the one that was asked for, if it is not.
    """

    name: str
    shape: tuple[int, ...]
    role: str
    encoding: str
    bits_per_weight: float
    nbytes: int
    fallback: str | None


class Quantize(Pass):
    """Give every parameter its encoding; the graph keeps its float meaning.

    Raises (before anything is changed):
        RecipeError: An override matches no parameter.
        UnsupportedEncodingError: An encoding is unknown, the target does not store it, or
            (strict, or no fallback fits) a parameter's rows do not fit it.
    """

    name: ClassVar[str] = "quantize"
    exact: ClassVar[bool] = False

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def requires(self, model: ir.Model) -> None:
        names = parameters(model)
        for pattern, _ in self.policy.overrides:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise RecipeError(
                    f"the override {pattern!r} matches no tensor",
                    expected="a glob pattern over names such as " + repr(next(iter(names), "")),
                    remedy="`convert inspect` lists the names",
                )
        choices = self._choices(model)
        refused = [f"{name}: {chosen.fallback}" for name, chosen in choices if chosen.fallback]
        if self.policy.strict and refused:
            raise UnsupportedEncodingError(
                f"{len(refused)} tensors do not fit the encoding that was asked for",
                expected="no fallback, because of --strict",
                found="; ".join(refused),
                remedy="choose a group size that divides the rows, or leave out --strict",
            )

    def rewrite(self, model: ir.Model) -> bool:
        before = parameters(model)
        changed = False
        for name, chosen in self._choices(model):
            old = before[name].encoding
            changed = changed or old is None or old.name != _stored(chosen).name
            model.graph.initializers[name].const_value = chosen
        return changed

    def ensures(self, model: ir.Model) -> None:
        for name, parameter in parameters(model).items():
            if parameter.encoding is None:
                raise AssertionError(f"{name} has no encoding")
            if parameter.encoding.fit(parameter.weight.columns) is not parameter.encoding:
                raise AssertionError(f"{name} does not fit {parameter.encoding.name}")

    def encodings(self, model: ir.Model) -> dict[str, Encoding]:
        """What each parameter would be given, by name."""
        return {name: _stored(chosen) for name, chosen in self._choices(model)}

    def _choices(self, model: ir.Model) -> list[tuple[str, Parameter]]:
        role_of, choices = roles(model), []
        for name, parameter in parameters(model).items():
            asked = self._asked(name, role_of[name], parameter)
            reason = self._unsuited(name, role_of[name])
            suited = reason is None and self._is_allowed(asked)
            fitted = self._fit(name, asked, parameter.weight.columns, suited)
            if fitted is not asked and reason is None:
                reason = self._reason(asked, parameter.weight.columns)
            choices.append((name, Parameter(parameter.weight, fitted, reason)))
        return _with_one_group_size(choices) if self.policy.one_group_size else choices

    def _asked(self, name: str, role: Role, parameter: Parameter) -> Encoding:
        policy = self.policy
        by_role = {
            Role.LINEAR: policy.assigned.get(name, policy.default),
            Role.EMBEDDING: policy.embeddings,
            Role.HEAD: policy.head,
            Role.OTHER: policy.vectors or parameter.weight.dtype.value,
            Role.ROUTER: policy.vectors or parameter.weight.dtype.value,
        }
        asked = encoding(policy.override(name) or by_role[role])
        if not self._is_allowed(asked) and not self._fallback_of(asked):
            raise UnsupportedEncodingError(
                f"the target does not store {asked.name}, asked for {name}",
                expected=f"one of {', '.join(policy.allowed)}",
                remedy="choose one of these, or another target",
            )
        return asked

    def _is_allowed(self, asked: Encoding) -> bool:
        return bool({asked.name, asked.family} & set(self.policy.allowed))

    def _fallback_of(self, asked: Encoding) -> str | None:
        named = self.policy.fallback_of
        return named.get(asked.name) or named.get(asked.family)

    def _reason(self, asked: Encoding, columns: int) -> str:
        if not self._is_allowed(asked):
            return f"the target has no {asked.name}, of which {self._fallback_of(asked)} is the kin"
        if asked.fit(columns) is asked:
            return f"the target takes groups of a power of two only, not {asked.name}"
        return f"{asked.name} does not fit rows of {columns} weights"

    def _unsuited(self, name: str, role: Role) -> str | None:
        if role is not Role.LINEAR or self.policy.override(name) is not None:
            return None
        return self.policy.unsuited.get(name)

    def _fit(self, name: str, asked: Encoding, columns: int, suited: bool) -> Encoding:
        fallbacks = self._fallbacks(asked)
        for candidate in (asked, *fallbacks) if suited else fallbacks:
            fitted = candidate.fit(columns, power_of_two=self.policy.power_of_two_groups)
            if fitted is not None:
                return fitted
        raise UnsupportedEncodingError(
            f"neither {asked.name} nor a fallback fits {name}",
            expected=f"rows of {columns} weights to divide by the group size",
            found=f"fallbacks {', '.join(self.policy.fallbacks) or 'none'}",
            remedy="override this tensor with an encoding that fits every row, such as bf16",
        )

    def _fallbacks(self, asked: Encoding) -> Iterator[Encoding]:
        name = self._fallback_of(asked)
        while name is not None:
            yield encoding(name)
            name = self.policy.fallback_of.get(name)
        yield from map(encoding, self.policy.fallbacks)


def coverage(model: ir.Model) -> tuple[TensorCoverage, ...]:
    """How every parameter of a quantized graph is stored, in the graph's order."""
    role_of = roles(model)
    covered = []
    for name, parameter in parameters(model).items():
        weight, stored = parameter.weight, _stored(parameter)
        nbytes = stored.nbytes(weight.rows, weight.columns)
        bits = 8 * nbytes / (weight.rows * weight.columns)
        covered.append(
            TensorCoverage(
                name,
                weight.shape,
                role_of[name].value,
                stored.name,
                bits,
                nbytes,
                parameter.fallback,
            )
        )
    return tuple(covered)


def _with_one_group_size(choices: list[tuple[str, Parameter]]) -> list[tuple[str, Parameter]]:
    """Regroup what is in groups until all groups are of one size."""
    while True:
        sizes = {_group_size(chosen.encoding) for _, chosen in choices} - {None}
        if len(sizes) < 2:
            return choices
        smallest = min(size for size in sizes if size is not None)
        choices = [(name, _regrouped(chosen, smallest)) for name, chosen in choices]


def _regrouped(chosen: Parameter, size: int) -> Parameter:
    before = chosen.encoding
    if before is None or _group_size(before) in (None, size):
        return chosen
    fitted = encoding(f"{before.family}_g{size}").fit(chosen.weight.columns, power_of_two=True)
    assert fitted is not None  # what a larger power of two divides, a smaller one does
    reason = f"the target takes one group size for all tensors, and {before.name} fits not all"
    return Parameter(chosen.weight, fitted, chosen.fallback or reason)


def _group_size(stored: Encoding | None) -> int | None:
    return stored.group if isinstance(stored, IntegerEncoding) else None


def _stored(parameter: Parameter) -> Encoding:
    return parameter.encoding or encoding(parameter.weight.dtype.value)
