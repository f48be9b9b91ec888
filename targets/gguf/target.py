"""The GGUF target: what llama.cpp stores and runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedTokenizerError
from passes.encodings import GGML_TYPES
from targets.base import Assignment, Layout, LayoutRequest, Runner, Target, UsageStep
from targets.gguf.families import FAMILIES
from targets.gguf.file_names import first_file
from targets.gguf.file_types import FALLBACKS, MIX_CANDIDATES, MIXES
from targets.gguf.imported.runs import RUNS
from targets.gguf.options import Options

if TYPE_CHECKING:
    from convert.architectures.base import DecoderConfig
    from passes.base import Pass


class GgufTarget(Target):
    """A GGUF for llama.cpp. The graph is llama.cpp's own; the file carries weights and names."""

    name: ClassVar[str] = "gguf"
    library: ClassVar[str | None] = "gguf"
    summary: ClassVar[str] = "one file for llama.cpp: Arm servers, laptops, phones"
    encodings: ClassVar[tuple[str, ...]] = ("f32", "f16", "bf16", *GGML_TYPES)
    families: ClassVar[frozenset[str]] = frozenset(FAMILIES)
    imported_families: ClassVar[frozenset[str]] = frozenset(RUNS)
    refusals: ClassVar[Mapping[str, str]] = {
        "yuan": "llama.cpp has no graph for Yuan, whose queries and keys pass two convolutions",
    }
    requires_tokenizer: ClassVar[bool] = True
    stacked_experts: ClassVar[bool] = True
    eight_bit: ClassVar[str | None] = "q8_0"
    default_encoding: ClassVar[str] = "q4_0"
    mixes: ClassVar[Mapping[str, str]] = MIXES
    mix_candidates: ClassVar[tuple[str, ...]] = MIX_CANDIDATES
    fallback_of: ClassVar[Mapping[str, str]] = FALLBACKS
    fallbacks: ClassVar[tuple[str, ...]] = ("f16",)
    option_names: ClassVar[tuple[str, ...]] = tuple(Options.__dataclass_fields__)

    def assign(
        self, name: str, config: DecoderConfig, parameters: Iterable[str], *, imatrix: bool
    ) -> Assignment | None:
        if name not in MIXES:
            return None
        from targets.gguf.mixes import assign

        return assign(name, config, parameters, imatrix=imatrix)

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
        from targets.gguf.layout import lay_out

        return lay_out(request, options)

    def runner(self, artifact: Path, *, threads: int) -> Runner:
        from targets.gguf.run import GgufRunner

        return GgufRunner(first_file(artifact), threads=threads)

    def usage(self, files: Sequence[str], folder: str) -> tuple[UsageStep, ...]:
        from targets.gguf.usage import usage

        return usage(files, folder)

    def stored_weights(self, artifact: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
        from targets.gguf.stored import stored_weights

        return stored_weights(first_file(artifact))
