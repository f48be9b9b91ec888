"""Parameters of a class that the logits of a text do not depend on: towers for images and sound, or
attention to an encoder that is not there.

They are told apart in the program as it was traced, before anything is rewritten: what a rewriting
loses is not among them, and is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import onnx_ir as ir

_KEY = "tricast.unread"


def note_unread(model: ir.Model, aliases: Mapping[str, str]) -> None:
    """Write down which parameters of a translated program nothing reads.

    Args:
        model: As it was translated.
        aliases: Name of each parameter to the first of those that it is tied to.
    """
    unread = {
        str(name)
        for name, value in model.graph.initializers.items()
        if value.const_value is None and not value.uses()
    }
    unread |= {name for name, first in aliases.items() if first in unread}
    model.metadata_props[_KEY] = json.dumps(sorted(unread))


def unread_names(model: ir.Model) -> frozenset[str]:
    """Names of the parameters that nothing reads, as they are after loading."""
    return frozenset(json.loads(model.metadata_props.get(_KEY, "[]")))


def unread_note(model: ir.Model) -> str | None:
    """What a user should know of them, if there are any."""
    names = sorted(unread_names(model))
    if not names:
        return None
    return f"{len(names):,} parameters that no text reaches are left out, such as {names[0]}"
