"""The GGUF target: from the graph's parameters and the tokenizer to files and write jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedTokenizerError
from passes.base import Pass
from targets.base import Layout, LayoutRequest, Runner, Target
from targets.gguf.checkpoint_vocabulary import vocabulary_of
from targets.gguf.families import FAMILIES, family_of
from targets.gguf.header import add_tensor_infos, new_writer
from targets.gguf.metadata import (
    add_general,
    add_hyperparameters,
    context_length,
    smallest_window,
)
from targets.gguf.options import Options
from targets.gguf.shards import first_file, lay_out
from targets.gguf.tensors import stored_tensors
from targets.gguf.tokenizer import read_json
from targets.gguf.vocabulary import add_vocabulary


class GgufTarget(Target):
    """A GGUF for llama.cpp. The graph is llama.cpp's own; the file carries weights and names."""

    name: ClassVar[str] = "gguf"
    summary: ClassVar[str] = "one file for llama.cpp: Arm servers, laptops, phones"
    encodings: ClassVar[tuple[str, ...]] = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1")
    families: ClassVar[frozenset[str]] = frozenset(FAMILIES)
    requires_tokenizer: ClassVar[bool] = True
    eight_bit: ClassVar[str | None] = "q8_0"
    default_encoding: ClassVar[str] = "q4_0"
    option_names: ClassVar[tuple[str, ...]] = tuple(Options.__dataclass_fields__)

    def passes(self, options: Mapping[str, Any]) -> Sequence[Pass]:
        Options.parse(options)
        return ()

    def lay_out(self, request: LayoutRequest) -> Layout:
        options = Options.parse(request.options)
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
        writer = new_writer(family.architecture, options.split_max_size or 0)
        generation = read_json(request.source.folder / "generation_config.json")
        add_general(writer, request.source, tensors, generation)
        add_hyperparameters(writer, config)
        add_vocabulary(writer, vocabulary)
        add_tensor_infos(writer, tensors)
        return Layout(*lay_out(writer, tensors), tuple(notes))

    def runner(self, artifact: Path, *, threads: int) -> Runner:
        from targets.gguf.run import GgufRunner

        return GgufRunner(first_file(artifact), threads=threads)

    def stored_weights(self, artifact: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
        from targets.gguf.stored import stored_weights

        return stored_weights(first_file(artifact))
