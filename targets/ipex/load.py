"""Loads an artifact in transformers: by transformers' own readers, but for GPTQ.

transformers reads GPTQ through optimum and GPTQModel, which compiles kernels and is not asked for
here. Those checkpoints are unpacked by `targets.ipex.unpack` and run as plain linear layers in the
type that the config names, as GPTQModel's torch kernel computes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from convert.errors import RunnerCrashedError, UsageError
from targets.ipex.stored import stored_weights

_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def load_model(artifact: Path) -> Any:
    """The model of an artifact, in the type that its config names.

    Raises:
        RunnerCrashedError: transformers refuses the artifact, or a tensor is missing or unknown.
        UsageError: compressed-tensors is needed and is not installed.
    """
    from transformers.utils import logging

    try:
        method = _quantization_method(artifact)
        if method == "compressed-tensors" and find_spec("compressed_tensors") is None:
            raise UsageError(
                "running this artifact needs compressed-tensors",
                remedy="install tricast with its extra xeon",
            )
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        model, report = _unpacked(artifact) if method == "gptq" else _as_it_is(artifact)
    except UsageError:
        raise
    except Exception as error:  # transformers raises whatever its parts do
        raise RunnerCrashedError("transformers refuses the artifact", found=str(error)) from error
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(kind):
            raise RunnerCrashedError(
                f"transformers finds {kind.replace('_', ' ')} in the artifact",
                found=", ".join(map(str, sorted(report[kind])[:5])),
            )
    return model.eval()


def _quantization_method(artifact: Path) -> str | None:
    config = json.loads((artifact / "config.json").read_text(encoding="utf-8"))
    method: str | None = config.get("quantization_config", {}).get("quant_method")
    return method


def _as_it_is(artifact: Path) -> tuple[Any, Mapping[str, Any]]:
    from transformers import AutoModelForCausalLM

    loaded: tuple[Any, Mapping[str, Any]] = AutoModelForCausalLM.from_pretrained(
        str(artifact), dtype="auto", output_loading_info=True, **_LOCAL
    )
    return loaded


def _unpacked(artifact: Path) -> tuple[Any, Mapping[str, Any]]:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(str(artifact), **_LOCAL)
    del config.quantization_config
    with torch.device("meta"):
        own = type(AutoModelForCausalLM.from_config(config))
    weights = {
        name: torch.from_numpy(values).to(config.dtype) for name, values in stored_weights(artifact)
    }
    loaded: tuple[Any, Mapping[str, Any]] = own.from_pretrained(
        None, config=config, state_dict=weights, dtype=config.dtype, output_loading_info=True
    )
    return loaded
