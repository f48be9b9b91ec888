"""An architecture that the installed transformers has: its graph is traced, not written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from convert.architectures.base import Architecture, DecoderConfig, Shape, plain_name
from convert.graph import initializer
from convert.importing import graph_cache
from convert.importing.binding import bound
from convert.importing.deriving import as_wanted, checkpoint_shape, derivations
from convert.importing.describing import described, tied_names
from convert.importing.unread import unread_note
from convert.parameter import Parameter
from convert.weights import Weight


class Imported(Architecture):
    """See the module. The class is the installed package's; code of a checkpoint is never run.

    Args:
        raw: config.json as it is.
        name: The one name in its ``architectures``.
    """

    base_prefix = ""

    def __init__(self, raw: Mapping[str, Any], name: str) -> None:
        self._raw = dict(raw)
        self.names = (name,)  # type: ignore[misc]
        # Those that a config of the hub names beside the classes of the package.
        stem = name.removesuffix("ForCausalLM").removesuffix("LMHeadModel")
        self.remote_classes = frozenset(  # type: ignore[misc]
            (name, f"{stem}Config", f"{stem}Model", f"{stem}PreTrainedModel")
        )

    def parse(self, config: Mapping[str, Any]) -> DecoderConfig:
        return described(self._graph())

    def parameters(self, config: DecoderConfig) -> dict[str, Shape]:
        model = self._graph()
        how = derivations(model)
        shapes = {
            name: checkpoint_shape(_numbers(value), how.get(name))
            for name, value in model.graph.initializers.items()
            if value.const_value is None
        }
        # A head that a checkpoint holds although it is tied is compared with the first of all.
        first = [name for name in tied_names(model).values() if name in shapes]
        return {name: shapes[name] for name in dict.fromkeys((*first, *shapes))}

    def bound(self, weights: Mapping[str, Weight]) -> dict[str, Weight]:
        """The weights of a checkpoint by the names of the parameters, see `binding.bound`."""
        model = self._graph()
        return bound(model, list(self.parameters(described(model))), weights, self._skeleton)

    def build(self, config: DecoderConfig, weights: Mapping[str, Weight]) -> ir.Model:
        model = self._graph()
        wanted = as_wanted(weights, model)
        for name, value in list(model.graph.initializers.items()):
            if value.const_value is not None:
                continue
            filled = initializer(name, Parameter(wanted[name]))
            value.replace_all_uses_with(filled)
            del model.graph.initializers[name]
            model.graph.register_initializer(filled)
        note = unread_note(model)
        model.metadata_props.clear()
        if note is not None:
            model.metadata_props["note.unread"] = note
        return model

    def _graph(self) -> ir.Model:
        """A copy of the graph, without weights.

        Raises:
            UnsupportedArchitectureError: It cannot be imported.
        """
        return graph_cache.graph_of(self._raw)

    def _skeleton(self) -> Any:
        from convert.importing.skeleton import skeleton

        return skeleton(self._raw)


def imported(config: Mapping[str, Any], name: str) -> Imported | None:
    """The architecture of a config that the installed transformers knows by this name, if any."""
    kind = config.get("model_type")
    if not isinstance(kind, str):
        return None
    if graph_cache.has(config):
        return Imported(config, name)
    try:
        from convert.importing.skeleton import class_name
    except ImportError:
        return None
    known = class_name(config)
    if known is None or plain_name(name) != plain_name(known):
        return None
    return Imported(config, name)


def _numbers(value: ir.Value) -> Shape:
    assert value.shape is not None
    return value.shape.numpy()
