"""From the graph's parameters and the tokenizer to the files of a GGUF and their write jobs."""

from __future__ import annotations

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
from targets.gguf.tensors import stored_tensors
from targets.gguf.tokenizer import read_json
from targets.gguf.vocabulary import add_vocabulary


def lay_out(request: LayoutRequest, options: Options) -> Layout:
    """See `targets.base.Target.lay_out`."""
    config = request.source.config
    family = family_of(config)
    tensors = stored_tensors(request.model, config, family)
    vocabulary, notes = vocabulary_of(request.source.folder, config.vocab)
    writer = new_writer(family.architecture, options.split_max_size or 0)
    generation = read_json(request.source.folder / "generation_config.json")
    add_general(writer, request.source, tensors, generation, request.encoding)
    add_hyperparameters(writer, config, family)
    add_vocabulary(writer, vocabulary)
    add_tensor_infos(writer, tensors)
    files, jobs = files_and_jobs(writer, tensors)
    return Layout(files, jobs, (*notes, *_window_notes(config)))


def _window_notes(config: DecoderConfig) -> list[str]:
    window = smallest_window(config)
    if window is None or window >= config.max_positions:
        return []
    return [
        f"llama.cpp attends to the whole context where this model sees {window} tokens:"
        f" the context length is set to {context_length(config)}, up to which they agree"
    ]
