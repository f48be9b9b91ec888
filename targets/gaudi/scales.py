"""Which weights and caches of a checkpoint are FP8: those that have scales beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from convert.errors import PassRefusedError, TensorMismatchError
from convert.graph import QUERY_SLOTS, attention_nodes
from passes.cache_form import PARTS
from targets.gaudi import fp8
from targets.gaudi.cards import CARDS
from targets.gaudi.linear import LinearLayer, linear
from targets.gaudi.operators import OPERATORS
from targets.gaudi.steps import PRESENT_PREFIX, Input, Step

_LARGEST = 448.0
_LARGEST_OF_FLAVOUR = {
    card.fp8_flavor: card.fp8_largest
    for card in CARDS.values()
    if card.fp8_largest and card.fp8_flavor
}
_SCALE_OF = dict(zip(PARTS, ("k_scale", "v_scale"), strict=True))


@dataclass(frozen=True)
class StoredScales:
    """The operations that read or write what may be FP8.

    Args:
        names: Of all tensors of the checkpoint.
        largest_code: Largest magnitude of an FP8 code.
        attentions: Names of the attention modules, in order of the layers.
    """

    names: frozenset[str]
    largest_code: float
    attentions: tuple[str, ...]

    @classmethod
    def of(cls, model: ir.Model, names: Collection[str], largest_code: float) -> StoredScales:
        """Those of the checkpoint that ``model`` is the graph of."""
        modules = (str(node.name).rpartition(".")[0] for node in attention_nodes(model))
        return cls(frozenset(names), largest_code, tuple(modules))

    def linear(self, layer: LinearLayer) -> Step:
        """A linear layer."""
        given: tuple[Input, ...] = (layer.x, layer.weight, layer.bias)
        scale = f"{layer.weight}_scale"
        if scale not in self.names:
            return Step(linear, {}, given, (layer.output,))
        input_scale: str | None = f"{layer.weight.removesuffix('.weight')}.input_scale"
        if input_scale not in self.names:
            input_scale = None
        inputs = (*given, scale, input_scale)
        return Step(fp8.linear_fp8, self._attributes, inputs, (layer.output,))

    def write(self, node: ir.Node) -> Iterator[Step]:
        """A TensorScatter: new keys or values into their cache.

        A static cache gives every row of a batch the same slots.
        """
        past, new = (str(value.name) for value in node.inputs[:2] if value is not None)
        present = str(node.outputs[0].name)
        scale = self._cache_scale(present)
        if scale is None:
            axis = {"axis": node.attributes["axis"].as_int()}
            yield Step(OPERATORS[node.op_type], axis, (past, new, QUERY_SLOTS), (present,))
            return
        codes, cache = f"{present}.new_codes", f"{present}.codes"
        yield Step(fp8.store, self._attributes, (new, scale), (codes,))
        yield Step(fp8.write, {}, (past, codes, QUERY_SLOTS), (cache,))
        yield Step(fp8.load, {}, (cache, scale, new), (present,))

    @property
    def has_cache(self) -> bool:
        """Whether keys and values are FP8.

        Raises:
            TensorMismatchError: Some are, others not.
        """
        found = {
            f"{module}.{scale}" in self.names
            for module in self.attentions
            for scale in _SCALE_OF.values()
        }
        if len(found) > 1:
            raise TensorMismatchError(
                "some keys or values have a scale of their cache, others not",
                expected="k_scale and v_scale for every attention layer, or none",
            )
        return found == {True}

    def refuse_fp8(self, name: Input, node: ir.Node) -> None:
        """Refuse to let anything but a linear layer read an FP8 weight.

        Raises:
            PassRefusedError: It is one.
        """
        if isinstance(name, str) and f"{name}_scale" in self.names and node.op_type != "Transpose":
            raise PassRefusedError(
                f"{node.op_type} cannot read the FP8 weight {name!r}", str(node.name)
            )

    @property
    def _attributes(self) -> dict[str, float]:
        return {fp8.LARGEST_CODE: self.largest_code}

    def _cache_scale(self, present: str) -> str | None:
        """Name of the scale of a cache; None where it is not FP8."""
        layer, _, part = present.removeprefix(PRESENT_PREFIX).partition(".")
        scale = f"{self.attentions[int(layer)]}.{_SCALE_OF[part]}"
        return scale if scale in self.names else None


def largest_code(config: Mapping[str, Any]) -> float:
    """Largest magnitude of an FP8 code, by the ``quantization_config`` of config.json.

    The flavour ``float8_e4m3fnuz`` stands for the range of a Gaudi2 alone; its bytes are those of
    float8_e4m3fn.
    """
    flavour = (config.get("quantization_config") or {}).get("fp8_dtype_flavor", "")
    return _LARGEST_OF_FLAVOUR.get(flavour, _LARGEST)
