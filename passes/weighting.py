"""Choose scales by what a layer's inputs are: W → decode(encode(W)) with weighted errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import ClassVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.errors import PassRefusedError
from convert.graph import Role, parameters, roles
from convert.parameter import Parameter
from passes.base import Pass
from passes.encodings.weighting import WeightableEncoding

DIGEST, NOTE = "weighting.moments", "note.weighting"


class Weighting(Pass):
    """Give the linear layers of a quantized graph encodings weighted by second moments.

    Those that have no moments, or only zeros, stay plain, and a note says which. Embeddings stay
    plain, too, also where they are the head as well: for the rows that are looked up all columns
    count the same.

    Args:
        moments: Mean squares of the inputs of linear layers, ``[columns]`` by name of the weight;
            see `passes.calibration.observers.SecondMoments`.
    """

    name: ClassVar[str] = "weighting"
    exact: ClassVar[bool] = False

    def __init__(self, moments: Mapping[str, NDArray[np.floating]]) -> None:
        self.moments = moments

    def requires(self, model: ir.Model) -> None:
        held = parameters(model)
        if any(parameter.encoding is None for parameter in held.values()):
            raise PassRefusedError(
                "weighting changes how scales are chosen, and this graph is not quantized",
                str(model.graph.name),
            )
        for name, moments in self.moments.items():
            if name not in held:
                raise PassRefusedError("there are moments of a weight that is not here", name)
            columns, values = held[name].weight.columns, np.asarray(moments)
            if values.shape != (columns,) or not (np.isfinite(values) & (values >= 0)).all():
                raise PassRefusedError(
                    f"moments must be a finite number of 0 or more for each of {columns} columns",
                    name,
                )

    def rewrite(self, model: ir.Model) -> bool:
        held, plain = parameters(model), []
        for name, encoding in self._weightable(model):
            old = held[name]
            weighted = encoding.weighted(self.moments.get(name, np.zeros(old.weight.columns)))
            chosen = Parameter(old.weight, weighted, old.fallback)
            model.graph.initializers[name].const_value = chosen
            if weighted.importance is None:
                plain.append(name)
        before = dict(model.metadata_props)
        model.metadata_props[DIGEST] = self._digest()
        model.metadata_props.pop(NOTE, None)
        if plain:
            model.metadata_props[NOTE] = (
                f"scales of {len(plain)} linear layers were chosen without moments of their "
                f"inputs: {_some(plain)}"
            )
        return before != dict(model.metadata_props)

    def ensures(self, model: ir.Model) -> None:
        for name, encoding in self._weightable(model):
            if np.any(self.moments.get(name, 0)) != (encoding.importance is not None):
                raise AssertionError(f"{name} is weighted and should not be, or the reverse")

    def _weightable(self, model: ir.Model) -> Iterator[tuple[str, WeightableEncoding]]:
        role_of = roles(model)
        for name, parameter in parameters(model).items():
            encoding = parameter.encoding
            if (
                role_of[name] in (Role.LINEAR, Role.HEAD)
                and isinstance(encoding, WeightableEncoding)
                and encoding.is_weightable
            ):
                yield name, encoding

    def _digest(self) -> str:
        digest = sha256()
        for name in sorted(self.moments):
            values = np.ascontiguousarray(self.moments[name], np.float64)
            digest.update(f"{name} {values.size}\n".encode())
            digest.update(values.tobytes())
        return digest.hexdigest()


def _some(names: list[str]) -> str:
    """The first few of many names."""
    few = ", ".join(names[:3])
    return few if len(names) <= 3 else f"{few} and {len(names) - 3} more"
