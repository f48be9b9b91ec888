"""The GGUF target: from the graph's parameters and the tokenizer to one file and its write jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedTokenizerError, UsageError
from passes.base import Pass
from targets.base import (
    Layout,
    LayoutRequest,
    OutputFile,
    Placement,
    Runner,
    Target,
    WriteJob,
)
from targets.gguf.checkpoint_vocabulary import vocabulary_of
from targets.gguf.families import FAMILIES, family_of
from targets.gguf.header import add_tensor_infos, data_offsets, header_bytes, new_writer
from targets.gguf.metadata import (
    add_general,
    add_hyperparameters,
    context_length,
    smallest_window,
)
from targets.gguf.tensors import StoredTensor, stored_tensors
from targets.gguf.tokenizer import read_json
from targets.gguf.vocabulary import add_vocabulary

FILE = "model.gguf"


class GgufTarget(Target):
    """One file for llama.cpp. The graph is llama.cpp's own; the file carries weights and names."""

    name: ClassVar[str] = "gguf"
    summary: ClassVar[str] = "one file for llama.cpp: Arm servers, laptops, phones"
    encodings: ClassVar[tuple[str, ...]] = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1")
    families: ClassVar[frozenset[str]] = frozenset(FAMILIES)
    refusals: ClassVar[Mapping[str, str]] = {
        "yuan": "llama.cpp has no graph for Yuan, whose queries and keys pass two convolutions",
    }
    requires_tokenizer: ClassVar[bool] = True
    eight_bit: ClassVar[str | None] = "q8_0"
    default_encoding: ClassVar[str] = "q4_0"

    def passes(self, options: Mapping[str, Any]) -> Sequence[Pass]:
        _refuse_options(options)
        return ()

    def lay_out(self, request: LayoutRequest) -> Layout:
        _refuse_options(request.options)
        if not request.tokenizer:
            raise UnsupportedTokenizerError(
                "a GGUF cannot do without a tokenizer",
                remedy="leave out --no-tokenizer, or choose another target",
            )
        config = request.source.config
        family = family_of(config)
        tensors = stored_tensors(request.model, config, family)
        vocabulary, notes = vocabulary_of(request.source.folder, config.vocab)
        window = smallest_window(config)
        if window is not None and window < config.max_positions:
            notes.append(
                f"llama.cpp attends to the whole context where this model sees {window} tokens:"
                f" the context length is set to {context_length(config)}, up to which they agree"
            )
        writer = new_writer(family.architecture)
        generation = read_json(request.source.folder / "generation_config.json")
        add_general(writer, request.source, tensors, generation)
        add_hyperparameters(writer, config)
        add_vocabulary(writer, vocabulary)
        add_tensor_infos(writer, tensors)
        return _layout(header_bytes(writer), tensors, tuple(notes))

    def runner(self, artifact: Path, *, threads: int) -> Runner:
        from targets.gguf.run import GgufRunner

        return GgufRunner(artifact / FILE, threads=threads)

    def stored_weights(self, artifact: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
        from targets.gguf.stored import stored_weights

        return stored_weights(artifact / FILE)


def _layout(header: bytes, tensors: Sequence[StoredTensor], notes: tuple[str, ...]) -> Layout:
    offsets = data_offsets(len(header), tensors)
    jobs = tuple(
        WriteJob(tensor.weight, tensor.encoding, (Placement(FILE, offset),), tensor.row_order)
        for tensor, offset in zip(tensors, offsets, strict=False)
    )
    return Layout((OutputFile(FILE, offsets[-1], ((0, header),)),), jobs, notes)


def _refuse_options(options: Mapping[str, Any]) -> None:
    if options:
        raise UsageError(
            f"the gguf target has no option {next(iter(options))!r}", expected="no options"
        )
