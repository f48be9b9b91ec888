"""What the GGUF of an imported model holds: its tensors and its keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convert.architectures.base import DecoderConfig
from targets.base import LayoutRequest
from targets.gguf.imported.absorbing import latent_pieces, require_places
from targets.gguf.imported.experts import expert_pieces
from targets.gguf.imported.expressing import epsilon_of_most
from targets.gguf.imported.facts import Facts, facts_of
from targets.gguf.imported.metadata import add_hyperparameters, context_length, smallest_window
from targets.gguf.imported.origins import add_origins, add_pieces
from targets.gguf.imported.rotations import stated
from targets.gguf.imported.runs import Runs, runs_of
from targets.gguf.imported.tensors import stored_names, stored_tensors
from targets.gguf.layout import Contents, window_note

TANH_NOTE = (
    "llama.cpp computes this model's GELU by its tanh approximation, which differs by up to 0.0005"
)

LONG_NOTE = (
    "llama.cpp rotates by the factors for long texts whenever its context is longer than {} tokens,"
    " transformers when the text is"
)
EPSILON_NOTE = (
    "some norms of this model have another epsilon than most; llama.cpp takes {:.2g} for all"
)


def imported_contents(request: LayoutRequest) -> Contents:
    """Tensors and keys of an imported graph.

    Raises:
        UnsupportedArchitectureError: No architecture of llama.cpp is described for the model type.
        UnsupportedConfigError: The architecture cannot express what the graph computes.
    """
    config = request.source.config
    runs = runs_of(config.family, config.layers)
    facts = facts_of(request.model, config, stated(request.source.raw_config))
    require_places(facts, runs)
    names = stored_names(request.model, config, facts, runs)
    tensors = stored_tensors(request.model, config, names, facts, runs)
    length = context_length(config, facts, runs, tensors)

    def add_keys(writer: Any) -> None:
        add_hyperparameters(writer, config, facts, runs, tensors)
        add_origins(writer, tensors, {stored: name for name, stored in names.items()})
        add_pieces(writer, (*latent_pieces(facts, runs), *expert_pieces(facts, runs)))

    return Contents(
        runs.architecture,
        tensors,
        add_keys,
        tuple(_notes(config, facts, runs, length)),
    )


def _notes(config: DecoderConfig, facts: Facts, runs: Runs, length: int) -> Iterator[str]:
    window = smallest_window(facts, runs)
    if window is not None and window < config.max_positions:
        yield window_note(window, length)
    longer = [each.rotation.longer for each in facts.attentions if each.rotation]
    if longer and longer[0] is not None:
        yield LONG_NOTE.format(longer[0].tokens)
    if len(facts.norms) > 1:
        yield EPSILON_NOTE.format(epsilon_of_most(facts))
    if any(each.name == "gelu" for each in facts.activations.values()):
        yield TANH_NOTE
