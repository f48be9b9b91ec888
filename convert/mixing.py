"""Mixed precision: the encoding of every weight that suits a goal best, by measurement."""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from convert.errors import UsageError
from convert.graph import Role, parameters
from convert.manifest import MixRecord
from convert.mixing_candidates import Slot
from convert.mixing_frontier import Frontier, Option
from convert.mixing_table import Mixed, table
from convert.recipe import Artifact
from passes.calibration.sensitivity import Encodings, Sensitivity

ROUNDS = 6
"""How often at most the prediction is held against a run with all weights stored as chosen."""

AIM = 0.9
"""Share of ``max_kld`` that a mix may take of it: other texts and the runtime take some, too."""

CLOSE = 0.9
"""Share of the aim from which on a mix is not made smaller any more."""

JointKld = Callable[[Encodings], float]
"""Mean KL divergence, in nats, of the model with all weights stored as given."""


@dataclass(frozen=True)
class Mix:
    """A choice for every weight.

    Args:
        weights: How each is stored.
        bits: A weight of the whole model, norms and biases included.
        nbytes: Of the whole model's weights.
        kld: Mean KL divergence, in nats, measured with all weights stored so at once.
        tokens: How many that was measured on.
    """

    weights: tuple[Mixed, ...]
    bits: float
    nbytes: int
    kld: float
    tokens: int

    @property
    def predicted(self) -> float:
        """The sum of what each weight alone costs, in nats."""
        return sum(weight.kld for weight in self.weights)

    @property
    def overrides(self) -> tuple[tuple[str, str], ...]:
        """For `passes.quantize.Policy`: a pattern for each weight, and its encoding."""
        return tuple((glob.escape(weight.name), weight.encoding) for weight in self.weights)

    @property
    def lowest(self) -> str:
        """The encoding in use that has the fewest bits."""
        return min(self.weights, key=lambda weight: weight.nbytes / weight.elements).encoding

    def record(self) -> MixRecord:
        """For the manifest."""
        return MixRecord(
            bits=float(f"{self.bits:.6g}"),
            kld=float(f"{self.kld:.4g}"),
            predicted=float(f"{self.predicted:.4g}"),
            tokens=self.tokens,
            costs={weight.name: float(f"{weight.kld:.4g}") for weight in self.weights},
        )

    def lines(self) -> list[str]:
        """For a terminal."""
        return [
            f"{self.bits:.3f} bits a weight ({self.nbytes:,} bytes), mean KL {self.kld:.4f} on "
            f"{self.tokens} tokens ({self.predicted:.4f} if the weights' own costs are added up)",
            *table(self.weights),
        ]


class Mixing:
    """Chooses mixes of one model for one target.

    Args:
        stored: The artifact's graph, its weights stored as without a mix.
        slots: The weights that a mix decides about.
        costs: The sensitivity of each of them.
        together: Names of weights that must be stored alike; the others stand alone.
        joint: Measures a choice.
        tokens: How many it does that on.
    """

    def __init__(
        self,
        stored: ir.Model,
        slots: Sequence[Slot],
        costs: Mapping[str, Sensitivity],
        together: Sequence[tuple[str, ...]],
        joint: JointKld,
        tokens: int,
    ) -> None:
        self._slots = {slot.name: slot for slot in slots}
        self._costs = costs
        self._joint = joint
        self._tokens = tokens
        held = parameters(stored)
        self._elements = sum(math.prod(each.weight.shape) for each in held.values())
        self._fixed = sum(
            each.encoding.nbytes(each.weight.rows, each.weight.columns)
            for name, each in held.items()
            if name not in self._slots and each.encoding is not None
        )
        self._groups = _groups(list(self._slots), together)
        self._choices = [self._shared(group) for group in self._groups]
        self._frontier = Frontier(
            [
                [self._option(group, name) for name in names]
                for group, names in zip(self._groups, self._choices, strict=True)
            ]
        )

    def choose(self, artifact: Artifact) -> Mix:
        """The mix that an artifact's goal asks for.

        Raises:
            UsageError: No mix of the candidates reaches it.
        """
        if artifact.target_bits is not None:
            return self._within_bits(artifact.target_bits)
        assert artifact.max_kld is not None
        return self._within_kld(artifact.max_kld)

    def _within_bits(self, bits: float) -> Mix:
        budget = int(bits * self._elements / 8)
        found = self._frontier.within_bytes(budget - self._fixed)
        if found is None:
            least = 8 * (self._frontier.fewest_bytes + self._fixed) / self._elements
            raise UsageError(
                f"no mix has {bits:g} bits a weight",
                expected=f"at least {math.ceil(1000 * least) / 1000:g} with these encodings",
                remedy="allow more bits, or add smaller encodings to the candidates",
            )
        return self._mix(found)

    def _within_kld(self, most: float) -> Mix:
        """Costs do not quite add up; how far off their sum is, is measured and corrected for."""
        aim, factor = AIM * most, 1.0
        best: Mix | None = None
        for _ in range(ROUNDS):
            found = self._frontier.within_cost(aim / factor)
            mix = None if found is None else self._mix(found)
            if mix is None or (best and mix.weights == best.weights):
                break
            if mix.kld <= aim and (best is None or mix.nbytes < best.nbytes):
                best = mix
            if CLOSE * aim <= mix.kld <= aim or not mix.predicted:
                break
            factor = max(mix.kld, CLOSE * aim / 100) / mix.predicted
        if best is None:
            raise UsageError(
                f"no mix has a mean KL divergence of at most {most:g}",
                expected=f"one of {aim:.4g} on the calibration text, to have room for others",
                remedy="allow more, or add larger encodings to the candidates",
            )
        return best

    def _mix(self, chosen: Sequence[int]) -> Mix:
        names = {
            weight: choices[number]
            for group, choices, number in zip(self._groups, self._choices, chosen, strict=True)
            for weight in group
        }
        weights = tuple(self._mixed(slot, names[slot.name]) for slot in self._slots.values())
        nbytes = self._fixed + sum(weight.nbytes for weight in weights)
        kld = self._joint(
            {
                slot.name: slot.named(names[slot.name])
                for slot in self._slots.values()
                if not slot.keeps_all(slot.named(names[slot.name]))
            }
        )
        return Mix(weights, 8 * nbytes / self._elements, nbytes, kld, self._tokens)

    def _mixed(self, slot: Slot, encoding: str) -> Mixed:
        elements = math.prod(slot.parameter.weight.shape)
        nbytes = slot.nbytes(slot.named(encoding))
        return Mixed(slot.name, encoding, elements, nbytes, self._costs[slot.name].kld(encoding))

    def _shared(self, group: Sequence[str]) -> list[str]:
        """The encodings that all weights of a group may have."""
        names = [[each.name for each in self._slots[weight].candidates] for weight in group]
        shared = [name for name in names[0] if all(name in others for others in names)]
        if not shared:
            raise UsageError(
                f"{', '.join(group)} must be stored alike, and no candidate fits them all",
                found="; ".join(", ".join(each) for each in names),
                remedy="add an encoding that fits every row, such as bf16, to the candidates",
            )
        return shared

    def _option(self, group: Sequence[str], encoding: str) -> Option:
        slots = [self._slots[weight] for weight in group]
        nbytes = sum(slot.nbytes(slot.named(encoding)) for slot in slots)
        return Option(nbytes, sum(self._costs[slot.name].kld(encoding) for slot in slots))


def measured_encodings(slot: Slot) -> tuple[str, ...]:
    """Of a linear layer one encoding of about 4 bits, from which the others are derived; of a
    table all that change it.
    """
    lossy = [each for each in slot.candidates if not slot.keeps_all(each)]
    if slot.role is not Role.LINEAR:
        return tuple(each.name for each in lossy)
    columns = slot.parameter.weight.columns
    nearest = min(lossy, key=lambda each: abs(each.bits_per_weight(columns) - 4.25), default=None)
    return (nearest.name,) if nearest else ()


def _groups(names: Sequence[str], together: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    bound = {name for group in together for name in group}
    return [*together, *((name,) for name in names if name not in bound)]
