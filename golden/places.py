"""Where transformers keeps what a checkpoint names: experts, which it holds joined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from convert.architectures import expert_names
from convert.expert_tensors import ExpertNames, joined_place, router_place
from convert.importing.expert_parts import place_of_part
from convert.weights import RowRange, RowRanges, Weight


class Places:
    """The parameters of a model of transformers by the names of a checkpoint of the hub.

    Args:
        parameters: By transformers' own names.
        architectures: Name of its class.
    """

    def __init__(self, parameters: Mapping[str, Any], architectures: Sequence[str]) -> None:
        self._parameters = parameters
        self._experts = names_of(architectures)
        self._parts: dict[str, set[int]] = {}

    def of(self, name: str) -> Any | None:
        """The tensor, or the part of one, that holds a parameter; None if there is none."""
        if name in self._parameters:
            return self._parameters[name]
        if self._experts is None:
            return self._part(name)
        place = joined_place(name, self._experts)
        if place is None:
            return self._parameters.get(router_place(name, self._experts))
        joined, expert, half = place
        tensor = self._parameters.get(joined)
        if tensor is None or expert >= len(tensor):
            return None
        rows = tensor.shape[1] // 2
        return tensor[expert] if half < 0 else tensor[expert, half * rows : (half + 1) * rows]

    def covered(self, name: str) -> set[str]:
        """Those of `names` that are replaced once ``name`` is: of parts, when all have been."""
        part = place_of_part(name)
        if name in self._parameters or self._experts is not None or part is None:
            return {name}
        whole, number = part
        seen = self._parts.setdefault(whole, set())
        seen.add(number)
        return {whole} if len(seen) == len(self._parameters[whole]) else set()

    def _part(self, name: str) -> Any | None:
        """What an imported graph has of a tensor for one expert."""
        whole, number = place_of_part(name) or (name, 0)
        tensor = self._parameters.get(whole)
        return None if tensor is None or number >= len(tensor) else tensor[number]

    def names(self, own: Iterable[str]) -> set[str]:
        """Names in a checkpoint of some of the parameters."""
        found = set()
        for name in own:
            found |= set(stored_names(name, len(self._parameters[name]), self._experts))
        return found


def names_of(architectures: Sequence[str]) -> ExpertNames | None:
    """What a checkpoint calls the parts of a mixture of experts, if the model may have one."""
    return expert_names({"architectures": list(architectures)})


def stored_names(name: str, count: int, experts: ExpertNames | None) -> list[str]:
    """Names in a checkpoint of what transformers calls ``name``, in its order.

    Args:
        name: Of a parameter.
        count: Length of its first axis: how many experts there are, if it is theirs.
        experts: What the checkpoint calls them; None if there are none.
    """
    if experts is None:
        return [name]
    gate, up, down = experts.parts
    parts = {"experts.gate_up_proj": (gate, up), "experts.down_proj": (down,)}
    for joined, of_expert in parts.items():
        scope = name.removesuffix(f".mlp.{joined}")
        if scope != name:
            inner = f"{scope}.{experts.module}.experts"
            return [
                f"{inner}.{number}.{part}.weight" for number in range(count) for part in of_expert
            ]
    scope = name.removesuffix(".mlp.gate.weight")
    return [name if scope == name else f"{scope}.{experts.module}.gate.weight"]


def joined(weights: Sequence[Weight], name: str, shape: Sequence[int]) -> Weight:
    """Matrices one below the other as the tensor of three axes that transformers has."""
    if len(weights) == 1 and len(shape) == len(weights[0].shape):
        return weights[0]
    return RowRanges(name, tuple(RowRange(each, 0, each.rows) for each in weights))
