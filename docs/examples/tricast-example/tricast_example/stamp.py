"""The graph says who made it; its logits stay as they are."""

from __future__ import annotations

import onnx_ir as ir

from passes.base import Pass

KEY = "made_with"


class Stamp(Pass):
    """Writes the name of this package into the metadata of the graph."""

    name = "stamp"
    exact = True

    def requires(self, model: ir.Model) -> None:
        """Any graph will do."""

    def rewrite(self, model: ir.Model) -> bool:
        changed = model.metadata_props.get(KEY) != __package__
        model.metadata_props[KEY] = str(__package__)
        return changed

    def ensures(self, model: ir.Model) -> None:
        assert model.metadata_props[KEY] == __package__
