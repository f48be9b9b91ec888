"""Choose scales by what a layer's inputs are: W → decode(encode(W)) with weighted errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import onnx_ir as ir

from convert.errors import PassRefusedError
from convert.graph import Role, parameters, roles
from convert.parameter import Parameter
from convert.weights import Floats, Weight
from passes.base import Pass
from passes.encodings.weighting import WeightableEncoding

NOTE = "note.weighting"
AWAITING = "weighting.awaiting"
"""Key of the model's metadata: how many linear layers await moments."""


class Weighting(Pass):
    """Let the linear layers of a quantized graph await the second moments of their inputs.

    The moments themselves come while the weights are read, see `convert.one_pass`, unless they are
    given. Layers whose
    moments will not be known stay plain, and a note says which. Embeddings stay plain, too, also
    where they are the head as well: for the rows that are looked up all columns count the same.

    Args:
        known: Whether the moments of a weight's inputs will be known.
        reason: Why they will not, where it is the same for all.
        given: Gives the moments at once, if they are known already.
    """

    name: ClassVar[str] = "weighting"
    exact: ClassVar[bool] = False

    def __init__(
        self,
        known: Callable[[Weight], bool],
        reason: str | None = None,
        given: Callable[[Weight], Floats | None] | None = None,
    ) -> None:
        self.known = known
        self.reason = reason
        self.given = given

    @classmethod
    def by(cls, given: Callable[[Weight], Floats | None]) -> Weighting:
        """Weighting by moments that are known already, where they are: others are None."""
        return cls(lambda weight: given(weight) is not None, "nothing is known of them", given)

    def requires(self, model: ir.Model) -> None:
        if any(parameter.encoding is None for parameter in parameters(model).values()):
            raise PassRefusedError(
                "weighting changes how scales are chosen, and this graph is not quantized",
                str(model.graph.name),
            )

    def rewrite(self, model: ir.Model) -> bool:
        held, awaiting, plain = parameters(model), 0, []
        for name, encoding in list(weightable_layers(model)):
            old = held[name]
            if not self.known(old.weight):
                plain.append(name)
                continue
            awaiting += self.given is None
            chosen = Parameter(old.weight, self._weighted(encoding, old.weight), old.fallback)
            model.graph.initializers[name].const_value = chosen
        before = dict(model.metadata_props)
        model.metadata_props[AWAITING] = str(awaiting)
        model.metadata_props.pop(NOTE, None)
        if plain:
            why = f", because {self.reason}" if self.reason else ""
            model.metadata_props[NOTE] = (
                f"scales of {len(plain)} linear layers were chosen without moments of their "
                f"inputs{why}: {_some(plain)}"
            )
        return before != dict(model.metadata_props)

    def ensures(self, model: ir.Model) -> None:
        held = parameters(model)
        for name, encoding in weightable_layers(model):
            known = self.known(held[name].weight)
            if encoding.awaits_moments != (known and self.given is None):
                raise AssertionError(f"{name} awaits moments and should not, or the reverse")

    def _weighted(self, encoding: WeightableEncoding, weight: Weight) -> WeightableEncoding:
        moments = self.given(weight) if self.given is not None else None
        return encoding.awaiting_moments() if moments is None else encoding.weighted(moments)


def weightable_layers(model: ir.Model) -> Iterator[tuple[str, WeightableEncoding]]:
    """Names and encodings of the linear layers whose scales may be chosen by their inputs."""
    role_of = roles(model)
    for name, parameter in parameters(model).items():
        encoding = parameter.encoding
        if (
            role_of[name] in (Role.LINEAR, Role.HEAD)
            and isinstance(encoding, WeightableEncoding)
            and encoding.is_weightable
        ):
            yield name, encoding


def _some(names: list[str]) -> str:
    """The first few of many names."""
    few = ", ".join(names[:3])
    return few if len(names) <= 3 else f"{few} and {len(names) - 3} more"
