"""LoRA adapters as the peft package saves them, merged into a checkpoint's weights unread.

The format: ``adapter_config.json`` and ``adapter_model.safetensors`` (or ``.bin``) of peft, whose
``tuners/lora`` says how scales follow from the configuration.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import (
    BrokenInputError,
    MissingFileError,
    TensorMismatchError,
    UnsupportedConfigError,
)
from convert.merged_weights import LowRankUpdate, MergedWeight
from convert.sources import safetensors_files
from convert.sources.shards import read_json_object
from convert.tensor_names import with_base_prefix
from convert.weights import Weight

CONFIG, TENSORS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
_OUTER = "base_model.model."
_FACTOR = re.compile(
    r"(?P<module>.+)\.lora_(?P<kind>|embedding_)(?P<side>[AB])(?:\.default)?(?:\.weight)?"
)
_KEPT = re.compile(r"(?:\.modules_to_save(?:\.default)?|\.original_module)(?=\.)")
_REFUSED = {
    "use_dora": "DoRA",
    "use_qalora": "QALoRA",
    "lora_bias": "biases of the factors",
    "layer_replication": "replicated layers",
    "trainable_token_indices": "tokens trained by themselves",
    "target_parameters": "updates of parameters that are no module's weight",
    "alora_invocation_tokens": "activation by tokens (aLoRA)",
    "arrow_config": "routing between adapters (Arrow)",
}
"""Keys of the configuration that change the mathematics, and what they stand for."""

_LARGEST = 1e30
_REPEATS, _ENDLESS = re.compile(r"[*+{?]"), re.compile(r"\)\s*[*+{]")
_MOST_REPEATS, _LONGEST_NAME = 2, 500

_HARMLESS_BEGINNINGS = (None, True, False, "gaussian", "eva", "orthogonal")
"""Values of ``init_lora_weights`` with which training begins from the weights as they are."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter, nothing of its tensors read.

    Args:
        folder: Of the adapter.
        updates: By the name of the parameter that each is for.
        replaced: Parameters that were trained whole, by name.
        files: Its configuration and its tensors.
    """

    folder: Path
    updates: Mapping[str, LowRankUpdate]
    replaced: Mapping[str, Weight]
    files: tuple[Path, ...]

    def merged_into(self, label: str, weights: Mapping[str, Weight]) -> dict[str, Weight]:
        """The weights of a checkpoint called ``label`` with this adapter in them.

        Raises:
            TensorMismatchError: The adapter is for parameters that the checkpoint has not, or has
                in other shapes.
        """
        merged = dict(weights)
        shapes: dict[str, tuple[int, ...]] = {
            name: update.shape for name, update in self.updates.items()
        }
        shapes |= {name: weight.shape for name, weight in self.replaced.items()}
        for name, shape in shapes.items():
            if name not in weights or weights[name].shape != shape:
                found = list(weights[name].shape) if name in weights else "no such parameter"
                raise TensorMismatchError(
                    f"the adapter {self.folder.name} is for another model than {label}",
                    expected=f"{name} of shape {list(shape)}",
                    found=str(found),
                    remedy="name the model that the adapter was trained on; a head that is tied to "
                    "the embedding has no weight of its own",
                )
        merged |= self.replaced
        for name, update in self.updates.items():
            base = merged[name]
            earlier = base.updates if isinstance(base, MergedWeight) else ()
            weight = base.weight if isinstance(base, MergedWeight) else base
            merged[name] = MergedWeight(weight, (*earlier, update))
        return merged


def open_adapter(folder: Path, base_prefix: str = "") -> Adapter:
    """Read an adapter's configuration and the header of its tensors.

    Args:
        folder: As peft's ``save_pretrained`` leaves it.
        base_prefix: What the names of the checkpoint begin with, but for the head's.

    Raises:
        MissingFileError: It has no configuration or no tensors.
        UnsupportedConfigError: It is no LoRA, or of a kind that is not merged by adding a product.
        BrokenInputError: Its tensors contradict each other or the configuration.
    """
    if not (folder / CONFIG).is_file():
        raise MissingFileError(
            f"{folder.name} is no adapter",
            expected=f"a folder with {CONFIG} and {TENSORS}",
            remedy="name the folder that peft saved the adapter to",
        )
    config = read_json_object(folder / CONFIG)
    _refuse_what_is_no_plain_lora(folder, config)
    tensors, file = _open_tensors(folder)
    factors: dict[tuple[str, str], dict[str, Weight]] = {}
    replaced: dict[str, Weight] = {}
    for name, weight in tensors.items():
        match = _FACTOR.fullmatch(name)
        if match:
            pair = factors.setdefault((match["module"], match["kind"]), {})
            pair[match["side"]] = weight
        else:
            replaced[_KEPT.sub("", name)] = weight
    _refuse_unknown(folder, config, replaced)
    updates = {
        f"{module}.weight": _update(folder, config, module, pair, transposed=bool(kind))
        for (module, kind), pair in factors.items()
    }
    if not updates and not replaced:
        raise BrokenInputError(f"the adapter {folder.name} holds no tensors")
    updates = _prefixed(updates, base_prefix)
    return Adapter(
        folder, updates, with_base_prefix(replaced, base_prefix), (folder / CONFIG, file)
    )


def merged_into(
    label: str, weights: Mapping[str, Weight], adapters: Sequence[Adapter]
) -> Mapping[str, Weight]:
    """The weights of a checkpoint with adapters in them, in their order; see `Adapter`."""
    for adapter in adapters:
        weights = adapter.merged_into(label, weights)
    return weights


def _refuse_what_is_no_plain_lora(folder: Path, config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type")
    reasons = [name for key, name in _REFUSED.items() if config.get(key)]
    if kind != "LORA":
        reasons.insert(0, f"peft_type {kind!r}")
    if config.get("bias", "none") != "none":
        reasons.append(f"trained biases (bias: {config['bias']!r})")
    beginning = config.get("init_lora_weights")
    if beginning not in _HARMLESS_BEGINNINGS:
        reasons.append(f"weights that training changed first (init_lora_weights: {beginning!r})")
    if reasons:
        raise UnsupportedConfigError(
            f"the adapter {folder.name} is not merged by adding a product",
            expected="LoRA without extras",
            found=", ".join(reasons),
            remedy="merge it with peft (merge_and_unload) and convert the merged checkpoint",
        )


def _open_tensors(folder: Path) -> tuple[dict[str, Weight], Path]:
    """The tensors by their names in the model, and their file."""
    name = TENSORS if (folder / TENSORS).is_file() else PICKLE
    if not (folder / name).is_file():
        raise MissingFileError(
            f"the adapter {folder.name} has no tensors",
            expected=f"{TENSORS} or {PICKLE}",
            remedy="download the whole adapter",
        )
    if name == TENSORS:
        found = safetensors_files.open_weights(folder, {name: ()}, skip=_nothing)
    else:
        from convert.sources import torch_files

        found = torch_files.open_weights(folder, {name: ()}, skip=_nothing)
    return {key.removeprefix(_OUTER): weight for key, weight in found.items()}, folder / name


def _nothing(name: str) -> bool:
    return False


def _refuse_unknown(
    folder: Path, config: Mapping[str, Any], replaced: Mapping[str, Weight]
) -> None:
    """Only modules that the configuration names as trained whole have tensors of their own."""
    named = config.get("modules_to_save") or []
    if not isinstance(named, list):
        raise BrokenInputError(
            f"{CONFIG} has modules_to_save that are none",
            expected="a list of names",
            found=repr(named)[:80],
        )
    whole = [str(name) for name in named]
    # Saved beside an adapter where tokens were added, or a user asked for it.
    whole += ["embed_tokens", "word_embeddings", "lm_head"]
    for name in replaced:
        module = name.rpartition(".")[0]
        if not any(module == each or module.endswith(f".{each}") for each in whole):
            raise UnsupportedConfigError(
                f"the adapter {folder.name} holds a tensor that is no factor of an update",
                expected="lora_A and lora_B, or modules named by modules_to_save",
                found=name,
                remedy="merge it with peft (merge_and_unload) and convert the merged checkpoint",
            )


def _update(
    folder: Path,
    config: Mapping[str, Any],
    module: str,
    pair: Mapping[str, Weight],
    *,
    transposed: bool,
) -> LowRankUpdate:
    if set(pair) != {"A", "B"} or any(len(each.shape) != 2 for each in pair.values()):
        raise BrokenInputError(
            f"the adapter {folder.name} lacks a factor of its update of {module}",
            expected="two matrices, lora_A and lora_B",
            found=", ".join(f"lora_{side} {list(pair[side].shape)}" for side in sorted(pair)),
        )
    down, up = pair["A"], pair["B"]
    rank = _for_module(config, "rank_pattern", "r", module)
    if not down.rows == up.columns == rank:
        raise BrokenInputError(
            f"the factors of {module} in the adapter {folder.name} are not of its rank",
            expected=f"{rank:g}, by {CONFIG}",
            found=f"lora_A {list(down.shape)}, lora_B {list(up.shape)}",
        )
    alpha = _for_module(config, "alpha_pattern", "lora_alpha", module)
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return LowRankUpdate(up, down, scale, transposed)


def _for_module(config: Mapping[str, Any], patterns: str, default: str, module: str) -> float:
    """A setting of one module: by the first pattern that its name ends in, else the general one."""
    own = config.get(patterns) or {}
    if not isinstance(own, Mapping):
        raise BrokenInputError(
            f"{CONFIG} has {patterns} that are none",
            expected="an object of patterns and numbers",
            found=repr(own)[:80],
        )
    found = next(
        (value for key, value in own.items() if _ends_in(module, key)), config.get(default)
    )
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 < found < _LARGEST:
        raise BrokenInputError(
            f"{CONFIG} has no {default} for {module}",
            expected=f"a number above zero, below {_LARGEST:g}",
            found=repr(found)[:80],
        )
    return found


def _ends_in(module: str, pattern: str) -> bool:
    """Whether a module's name ends as a pattern of peft's says, a regular expression.

    Raises:
        UnsupportedConfigError: It is none, or of a form that could take for ever to match.
    """
    if pattern == module or module.endswith(f".{pattern}"):
        return True
    try:
        if _ENDLESS.search(pattern) or len(_REPEATS.findall(pattern)) > _MOST_REPEATS:
            raise re.error("repetitions of repetitions")
        if len(pattern) + len(module) > _LONGEST_NAME:
            raise re.error(f"more than {_LONGEST_NAME} characters")
        return re.match(rf"(.*\.)?({pattern})$", module) is not None
    except (re.error, OverflowError, RecursionError) as error:
        raise UnsupportedConfigError(
            f"{CONFIG} has a pattern of names that cannot be used",
            expected="the end of a module's name, or a simple regular expression",
            found=f"{pattern[:80]!r}: {error}",
            remedy="merge it with peft (merge_and_unload) and convert the merged checkpoint",
        ) from error


def _prefixed(updates: dict[str, LowRankUpdate], prefix: str) -> dict[str, LowRankUpdate]:
    """As `with_base_prefix`: an adapter of a model without its head lacks the prefix."""
    if not prefix or any(name.startswith(prefix) for name in updates):
        return updates
    return {
        name if name.startswith("lm_head.") else prefix + name: each
        for name, each in updates.items()
    }
