"""The original model: transformers, or our own torch, float32, on this machine's CPU."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from convert.errors import (
    BrokenInputError,
    NonFiniteWeightError,
    TensorMismatchError,
    UnsupportedArchitectureError,
)
from convert.extensions import offered_names
from golden.places import Places

SEED = 20240229

OWN_CLASSES = {"YuanForCausalLM": "golden.yuan"}
"""Architectures that transformers does not have, and the modules that do, without a cache."""


class Reference:
    """A causal language model as transformers loads it, in float32.

    Attention is ``eager``: the formula in plain matrix products, with an explicit mask, whatever
    kernels the machine has. Prompts are short, so its quadratic memory is nothing.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        text_config = model.config.get_text_config()
        self.vocab = int(text_config.vocab_size)
        self.max_positions = int(getattr(text_config, "max_position_embeddings", 0) or 1 << 30)
        stated = (getattr(each, "bos_token_id", None) for each in (model.config, text_config))
        self.start_id = _first_id(next((each for each in stated if each is not None), None), 0)
        self.stop_ids = _stop_ids(model)

    @property
    def cached(self) -> bool:
        """Whether the model can go on from a cache."""
        own = {*OWN_CLASSES.values(), _added_module(type(self.model).__name__)}
        return type(self.model).__module__ not in own

    def all_logits(self, prompts: Sequence[Sequence[int]]) -> Iterator[NDArray[np.float32]]:
        """The logits of each prompt, computed when asked for. Raises as `logits` does."""
        for ids in prompts:
            yield self.logits(ids)

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits ``[S, vocab]`` of one sequence.

        Raises:
            NonFiniteWeightError: The original itself gives NaN or infinite logits.
        """
        import torch

        with torch.inference_mode():
            output = self.model(input_ids=torch.tensor([list(ids)]), use_cache=False)
        return finite(output.logits[0].to(torch.float32).numpy())

    def last_logits(self, drawn: Any, cache: Mapping[str, Any]) -> Any:
        """Logits ``[B, vocab]`` after the sequences ``[B, S]``, the cache being of S - 1 tokens."""
        tokens = drawn[:, -1:] if cache else drawn
        return self.model(input_ids=tokens, use_cache=bool(cache), **cache).logits[:, -1]

    def replace_weights(self, stored: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
        """Put other weights in the place of the checkpoint's.

        Args:
            stored: Name and values of every parameter, as in the checkpoint.

        Raises:
            TensorMismatchError: A parameter is left out, unknown, or has another shape.
        """
        import torch

        # Tied parameters are listed once, under their first name.
        held = self.model.state_dict().keys()
        buffers = {name: each for name, each in self.model.named_buffers() if name in held}
        own = dict(self.model.named_parameters()) | buffers
        aliases = dict(self.model.named_parameters(remove_duplicate=False)) | buffers
        places = Places(aliases, [type(self.model).__name__])
        missing = places.names(own)
        for name, values in stored:
            place = places.of(name)
            if place is None or tuple(place.shape) != values.shape:
                shape = "no such parameter" if place is None else list(place.shape)
                raise TensorMismatchError(
                    f"the artifact stores {name!r} of shape {list(values.shape)}",
                    expected=str(shape),
                )
            with torch.no_grad():
                place.copy_(torch.from_numpy(np.ascontiguousarray(values)))
            missing -= places.covered(name)
        if missing:
            raise TensorMismatchError(
                f"the artifact lacks {len(missing)} parameters of the original",
                found=f"without {', '.join(sorted(missing)[:5])}",
            )

    def continuation(self, ids: Sequence[int], count: int) -> tuple[int, ...] | None:
        """Greedy continuation of ``ids``: at most ``count`` tokens, ending before a stop token.

        Returns:
            None where it would take far longer than the logits of prompts do.
        """
        import torch
        from transformers import DynamicCache

        drawn, start = torch.tensor([list(ids)]), len(ids)
        cache = {"past_key_values": DynamicCache(config=self.model.config)} if self.cached else {}
        with torch.inference_mode():
            if cache and start > 1:
                self.model(input_ids=drawn[:, :-1], use_cache=True, **cache)
            while drawn.shape[1] < min(start + count, self.max_positions):
                token = self.last_logits(drawn, cache)[0].argmax()
                if int(token) in self.stop_ids:
                    break
                drawn = torch.cat([drawn, token.reshape(1, 1)], dim=1)
        return tuple(drawn[0, start:].tolist())

    def sample(self, count: int, length: int) -> list[list[int]]:
        """``count`` sequences of ``length`` tokens drawn from the model at temperature 1.

        They are in the model's own distribution where no text can be tokenized. Drawn with a
        fixed seed, after one fixed token.
        """
        import torch
        from transformers import DynamicCache

        generator = torch.Generator().manual_seed(SEED)
        drawn = torch.full((count, 1), self.start_id)
        cache = {"past_key_values": DynamicCache(config=self.model.config)} if self.cached else {}
        with torch.inference_mode():
            for _ in range(length - 1):
                last = self.last_logits(drawn, cache)
                probabilities = torch.softmax(last.to(torch.float64), dim=-1)
                chosen = torch.multinomial(probabilities, 1, generator=generator)
                drawn = torch.cat([drawn, chosen], dim=1)
        return cast("list[list[int]]", drawn.tolist())


def load(folder: Path, threads: int) -> Reference:
    """Load the model in ``folder``; nothing is downloaded and no code of it is run.

    Raises:
        UnsupportedArchitectureError: transformers itself does not know the architecture.
        TensorMismatchError: Weights are missing or have other shapes than the config says.
        BrokenInputError: transformers cannot read it.
    """
    _set_up(threads)
    import torch

    try:
        kind, options = _model_class(folder)
        model, information = kind.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
    except (OSError, RuntimeError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise _refusal(folder, error) from error
    # Left alone, transformers fills a missing weight with random numbers.
    wrong = [*information["missing_keys"], *information["mismatched_keys"]]
    if wrong:
        raise TensorMismatchError(
            f"{len(wrong)} weights of {folder.name} are missing or have another shape",
            found=", ".join(sorted(map(str, wrong))[:5]),
        )
    return Reference(model.eval())


def without_weights(folder: Path, threads: int) -> Any:
    """The same model on torch's meta device, without memory for weights. Raises as `load` does."""
    _set_up(threads)
    import torch
    from transformers import AutoConfig, GenerationConfig

    try:
        kind, options = _model_class(folder)
        of_class = getattr(kind, "config_class", None)
        trust = {"local_files_only": True, "trust_remote_code": False}
        config = (of_class or AutoConfig).from_pretrained(folder, **trust)
        with torch.device("meta"):
            make = kind._from_config if of_class else kind.from_config
            model = make(config, dtype=torch.float32, **options)
        if (folder / "generation_config.json").is_file():
            model.generation_config = GenerationConfig.from_pretrained(folder)
    except (OSError, RuntimeError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise _refusal(folder, error) from error
    return model


def _set_up(threads: int) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers.utils import logging

    torch.set_num_threads(threads)
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def _model_class(folder: Path) -> tuple[Any, dict[str, Any]]:
    """The class to load the model with, and what it is to be told."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = config.get("architectures") or [None]
    module = OWN_CLASSES.get(names[0]) or _added_module(names[0])
    if module is not None:
        return getattr(import_module(module), names[0]), {}
    import transformers

    from convert.importing.skeleton import class_name, class_names

    # Other ways to multiply with experts need rows that start at multiples of 16 bytes.
    eager = {"attn_implementation": "eager", "experts_implementation": "eager"}
    name = class_name(config)
    if name not in (None, class_names().get(config.get("model_type"))):
        # One that sees or hears, too, or is made from a part of a config.
        return getattr(transformers, str(name)), eager
    return transformers.AutoModelForCausalLM, {**eager, "trust_remote_code": False}


def _added_module(name: Any) -> str | None:
    """The module that another package names for an architecture of its own."""
    if not isinstance(name, str) or name not in offered_names("architectures"):
        return None
    from convert.architectures import architecture_named

    found = architecture_named(name)
    return None if found is None else found.reference_module


def finite(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits that the original may have.

    Raises:
        NonFiniteWeightError: They are NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise NonFiniteWeightError(
            "the original gives NaN or infinite logits in float32",
            expected="finite outputs",
            remedy="check the checkpoint: a weight may be damaged",
        )
    return logits


def _refusal(folder: Path, error: Exception) -> BrokenInputError | UnsupportedArchitectureError:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        remote = "auto_map" in config
    except (OSError, ValueError, TypeError):
        remote = False
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if remote:
        return UnsupportedArchitectureError(
            "the original runs only with code from its checkpoint, which is never executed",
            found=reason,
            remedy="give a recording made elsewhere with --golden FILE, or --no-gate",
        )
    return BrokenInputError(f"transformers cannot load {folder.name}", found=reason)


def _stop_ids(model: Any) -> tuple[int, ...]:
    found: set[int] = set()
    for config in (model.config, getattr(model, "generation_config", None)):
        value = getattr(config, "eos_token_id", None)
        found.update([value] if isinstance(value, int) else value or [])
    return tuple(sorted(found))


def _first_id(value: Any, default: int) -> int:
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    return default if value is None else int(value)
