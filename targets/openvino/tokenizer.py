"""The checkpoint's tokenizer as OpenVINO models: text to ids and ids to text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openvino

from convert.errors import UnsupportedTokenizerError
from targets.base import OutputFile
from targets.openvino.character_sets import with_flat_sets
from targets.openvino.ir_file import serialize
from targets.tokenizer_cache import remembered
from targets.without_torch import call

_PACKAGES = ("transformers", "tokenizers", "sentencepiece", "openvino", "openvino-tokenizers")
_COUNTED = re.compile(r"[A-Za-z]+_\d+(\.\d+)?")


def tokenizer_models(folder: Path) -> Iterator[OutputFile]:
    """The files of `converted_tokenizer`, or what it made of the same tokenizer before.

    Raises:
        UnsupportedTokenizerError: There is none, or the converter has no form for it.
    """

    def make() -> dict[str, bytes]:
        return call(_converted, folder.resolve())

    for path, data in remembered("openvino tokenizer", folder, _PACKAGES, make).items():
        yield OutputFile.whole(path, data)


def _converted(folder: Path) -> dict[str, bytes]:
    return {file.path: file.segments[0][1] for file in converted_tokenizer(folder)}


def converted_tokenizer(folder: Path) -> Iterator[OutputFile]:
    """The tokenizer of ``folder`` as openvino_tokenizer and openvino_detokenizer files.

    Raises:
        UnsupportedTokenizerError: There is none, or the converter has no form for it.
    """
    tokenizer = _load(folder)
    _flatten_sets(tokenizer)
    models = _convert(tokenizer)
    for stem, model in zip(("openvino_tokenizer", "openvino_detokenizer"), models, strict=True):
        _rename(model)
        xml, constants = serialize(model)
        yield OutputFile.whole(f"{stem}.xml", xml)
        yield OutputFile.whole(f"{stem}.bin", constants)


def _load(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise UnsupportedTokenizerError(
            "the checkpoint's tokenizer cannot be loaded",
            found=f"{type(error).__name__}: {error}".splitlines()[0],
            remedy="convert without it: --no-tokenizer",
        ) from error


def _flatten_sets(tokenizer: Any) -> None:
    """Write the patterns by which a text is cut so that OpenVINO reads them as meant."""
    from tokenizers import Tokenizer

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.pre_tokenizer is None:
        return
    state = json.loads(backend.to_str())
    flat = with_flat_sets(state["pre_tokenizer"])
    if flat != state["pre_tokenizer"]:
        written = Tokenizer.from_str(json.dumps({**state, "pre_tokenizer": flat}))
        backend.pre_tokenizer = written.pre_tokenizer


def _convert(tokenizer: Any) -> tuple[openvino.Model, openvino.Model]:
    from openvino_tokenizers import convert_tokenizer

    try:
        tokenize, detokenize = convert_tokenizer(tokenizer, with_detokenizer=True)
    except Exception as error:
        raise UnsupportedTokenizerError(
            f"OpenVINO has no form for the tokenizer {type(tokenizer).__name__}",
            found=f"{type(error).__name__}: {error}".splitlines()[0],
            remedy="convert without it: --no-tokenizer",
        ) from error
    return tokenize, detokenize


def _rename(model: openvino.Model) -> None:
    """Number the operators by their order instead of by all that the process ever made."""
    for index, node in enumerate(model.get_ordered_ops()):
        name = f"{node.get_type_name()}.{index}"
        node.set_friendly_name(name)
        for output in node.outputs():
            tensor = output.get_tensor()
            kept = {known for known in tensor.get_names() if not _COUNTED.fullmatch(known)}
            tensor.set_names(kept or ({name} if node.get_type_name() == "Parameter" else set()))
