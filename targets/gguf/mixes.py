"""The encoding of each tensor in a file of one of llama.cpp's types, such as Q4_K_M.

The rules are those of ``llama_tensor_get_type_impl`` and ``tensor_type_fallback`` in llama.cpp's
src/llama-quant.cpp (release 11434), for the architectures that this target writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from convert.architectures.base import DecoderConfig
from targets.base import Assignment
from targets.gguf.families import Family, family_of
from targets.gguf.file_types import ALIASES, MIXES
from targets.gguf.tensors import name_map, stored_name

_GROUPED, _MIXTRAL = 4, 8
_LARGE_LAYERS = 80
_LARGE_ARCHITECTURES = ("llama", "qwen2")
_LAYER = re.compile(r"blk\.(\d+)\.(\w+?)(?:_exps|_shexp)?\.weight")


@dataclass(frozen=True)
class Facts:
    """What the rules ask of a model.

    Args:
        layers: How many there are.
        queries_per_key: Heads that share a key and a value.
        experts: Of a mixture; 0 if it is none.
        is_large: Whether it is what llama.cpp calls 70B.
        imatrix: Whether an imatrix is given.
    """

    layers: int
    queries_per_key: int
    experts: int = 0
    is_large: bool = False
    imatrix: bool = False


def assign(
    file_type: str, config: DecoderConfig, parameters: Iterable[str], *, imatrix: bool
) -> Assignment:
    """See `targets.base.Target.assign`."""
    family = family_of(config)
    names = stored_names(parameters, family, config.layers)
    facts = facts_of(config, family, imatrix=imatrix)
    return assignment(file_type, names, facts, tied=config.tied)


def facts_of(config: DecoderConfig, family: Family, *, imatrix: bool) -> Facts:
    """What the rules ask of a model with this configuration."""
    experts = config.experts
    many_queries = config.heads > config.kv_heads or family.architecture != "llama"
    return Facts(
        layers=config.layers,
        queries_per_key=config.heads // config.kv_heads,
        experts=experts.count if experts else 0,
        is_large=family.architecture in _LARGE_ARCHITECTURES
        and config.layers == _LARGE_LAYERS
        and many_queries,
        imatrix=imatrix,
    )


def assignment(file_type: str, names: Mapping[str, str], facts: Facts, *, tied: bool) -> Assignment:
    """The encodings of a file's tensors.

    Args:
        file_type: One of `MIXES`.
        names: By name of each parameter, that in the GGUF.
        facts: Of the model.
        tied: Whether the embeddings are the head, too.
    """
    kind = ALIASES.get(file_type, file_type)
    base = MIXES[kind]
    if kind == "mxfp4_moe":
        experts = {name: base for name, stored in names.items() if "_exps." in stored}
        return Assignment("q8_0", "q8_0", "q8_0", experts)
    head = "q8_0" if base == "q8_0" else "q6_k"
    return Assignment(base, head if tied else base, head, _layers(kind, base, names, facts))


def _layers(kind: str, base: str, names: Mapping[str, str], facts: Facts) -> dict[str, str]:
    """Those that differ from the base, by name."""
    places = {name: found for name in names if (found := _LAYER.fullmatch(names[name]))}
    values = sorted(
        {int(found[1]) for found in places.values() if found[2] in ("attn_v", "attn_qkv")}
    )
    chosen = {}
    for name, found in places.items():
        layer, part = int(found[1]), found[2]
        given: str | None
        if part in ("attn_v", "attn_qkv"):
            given = _value(kind, base, values.index(layer), len(values), facts)
        elif part == "ffn_down":
            given = _down(kind, layer, facts)
        elif part == "attn_output":
            given = _output(kind, facts)
        else:
            given = "q8_0" if part == "attn_k" and facts.experts == _MIXTRAL else None
        if given not in (None, base):
            chosen[name] = str(given)
    return chosen


def _value(kind: str, base: str, number: int, count: int, facts: Facts) -> str:
    """Of the projection that makes values, or queries, keys and values at once."""
    if facts.experts == _MIXTRAL:
        return "q8_0"
    grouped = facts.queries_per_key >= _GROUPED
    given: str | None = None
    if kind in ("q2_k", "q2_k_s") and grouped:
        given = "q4_k"
    elif kind == "q2_k":
        given = "q3_k"
    elif kind == "q3_k_m":
        given = "q5_k" if number < 2 else "q4_k"
    elif kind == "q3_k_l" or (kind in ("iq4_nl", "iq4_xs") and grouped):
        given = "q5_k"
    elif kind in ("q4_k_m", "q5_k_m") and _counts_more(number, count):
        given = "q6_k"
    elif kind == "q4_k_s" and number < 4:
        given = "q5_k"
    given = given or base
    return "q5_k" if facts.is_large and given in ("q3_k", "q4_k") else given


def _down(kind: str, layer: int, facts: Facts) -> str | None:
    """Of the projection out of the MLP."""
    first = layer < facts.layers // 8
    if kind == "q2_k":
        return "q3_k"
    if kind == "q3_k_m":
        return "q5_k" if layer < facts.layers // 16 else "q4_k"
    if kind == "q3_k_l":
        return "q5_k"
    if kind in ("q4_k_m", "q5_k_m"):
        return "q6_k" if _counts_more(layer, facts.layers) else None
    beginnings = {"q2_k_s": "q4_k", "q4_k_s": "q5_k"}
    if facts.imatrix:
        beginnings |= {"q4_0": "q4_1", "q5_0": "q5_1"}
    else:
        beginnings |= {"iq4_nl": "q5_k", "iq4_xs": "q5_k"}
    return beginnings.get(kind) if first else None


def _output(kind: str, facts: Facts) -> str | None:
    """Of the projection out of the attention."""
    if facts.experts == _MIXTRAL:
        raised = ("q2_k", "q3_k_s", "q3_k_m", "q4_k_s", "q4_k_m", "iq4_nl", "iq4_xs")
        return "q5_k" if kind in raised else None
    return {"q2_k": "q3_k", "q3_k_m": "q4_k", "q3_k_l": "q5_k"}.get(kind)


def _counts_more(number: int, count: int) -> bool:
    """Whether a layer is among those that get more bits: the first, the last, every third."""
    eighth = count // 8
    return number < eighth or number >= 7 * count // 8 or (number - eighth) % 3 == 2


def stored_names(parameters: Iterable[str], family: Family, layers: int) -> dict[str, str]:
    """Names in the GGUF, by name of a parameter that has one."""
    names = name_map(family.architecture, layers)
    found = {name: stored_name(name, names, family) for name in parameters}
    return {name: stored for name, stored in found.items() if stored is not None}
