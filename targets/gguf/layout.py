"""From the graph's parameters and the tokenizer to the files of a GGUF and their write jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convert.architectures.base import DecoderConfig
from targets.base import Layout, LayoutRequest
from targets.gguf.checkpoint_vocabulary import vocabulary_of
from targets.gguf.families import family_of
from targets.gguf.header import add_tensor_infos, new_writer
from targets.gguf.metadata import (
    add_general,
    add_hyperparameters,
    context_length,
    smallest_window,
)
from targets.gguf.options import Options
from targets.gguf.shards import files_and_jobs
from targets.gguf.tensors import StoredTensor, stored_tensors
from targets.gguf.tokenizer import read_json
from targets.gguf.vocabulary import add_vocabulary


@dataclass(frozen=True)
class Contents:
    """What a file holds beside names and vocabulary.

    Args:
        architecture: Value of ``general.architecture``.
        tensors: In their order.
        add_keys: Writes the sizes and all else that llama.cpp reads, to a gguf.GGUFWriter.
        notes: See `targets.base.Layout`.
    """

    architecture: str
    tensors: tuple[StoredTensor, ...]
    add_keys: Callable[[Any], None]
    notes: tuple[str, ...] = ()


def lay_out(request: LayoutRequest, options: Options) -> Layout:
    """See `targets.base.Target.lay_out`."""
    contents = _contents(request)
    vocabulary, notes = vocabulary_of(request.source.folder, request.source.config.vocab)
    writer = new_writer(contents.architecture, options.split_max_size or 0)
    generation = read_json(request.source.folder / "generation_config.json")
    add_general(writer, request.source, contents.tensors, generation, request.encoding)
    contents.add_keys(writer)
    add_vocabulary(writer, vocabulary)
    add_tensor_infos(writer, contents.tensors)
    files, jobs = files_and_jobs(writer, contents.tensors)
    return Layout(files, jobs, (*notes, *contents.notes))


def _contents(request: LayoutRequest) -> Contents:
    config = request.source.config
    if config.imported:
        from targets.gguf.imported.contents import imported_contents

        return imported_contents(request)
    family = family_of(config)
    return Contents(
        family.architecture,
        stored_tensors(request.model, config, family),
        lambda writer: add_hyperparameters(writer, config, family),
        tuple(_window_notes(config)),
    )


def _window_notes(config: DecoderConfig) -> list[str]:
    window = smallest_window(config)
    if window is None or window >= config.max_positions:
        return []
    return [window_note(window, context_length(config))]


def window_note(window: int, length: int) -> str:
    """What is said of a model whose windows llama.cpp does not know."""
    return (
        f"llama.cpp attends to the whole context where this model sees {window} tokens:"
        f" the context length is set to {length}, up to which they agree"
    )
