"""Imported graphs, kept between runs by their config and all that made them."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import onnx_ir as ir

from convert.cache_folder import cache_folder

_UNRELATED = frozenset(
    ("_name_or_path", "auto_map", "dtype", "torch_dtype", "transformers_version", "use_cache")
)
"""Keys of a config that no graph depends on."""

# What a process has made or read; it is the same whenever it is asked for.
_SEEN: dict[str, bytes] = {}

_MADE_BY = ("torch", "transformers", "onnx-ir")


def key_of(raw: Mapping[str, Any]) -> str:
    """Equal for configs that give the same graph, with the same versions of all that makes it."""
    config = {key: value for key, value in raw.items() if key not in _UNRELATED}
    stated = [json.dumps(config, sort_keys=True, default=repr), *_versions()]
    return hashlib.sha256("\n".join(stated).encode()).hexdigest()


def has(raw: Mapping[str, Any]) -> bool:
    """Whether the graph of a config is kept."""
    return key_of(raw) in _SEEN or _path(raw).is_file()


def load(raw: Mapping[str, Any]) -> ir.Model | None:
    """A copy of the graph of a config, if it is kept."""
    key = key_of(raw)
    try:
        data = _SEEN.get(key) or _path(raw).read_bytes()
        model = restored(ir.from_proto(_parsed(data)))
    except Exception:  # a damaged file is as good as none
        return None
    _SEEN[key] = data
    return model


def keep(raw: Mapping[str, Any], model: ir.Model) -> ir.Model:
    """Keep a graph for this process and, where the folder can be written, for those to come.

    Returns:
        A copy of it as `load` gives it.
    """
    data, path = serialized(model), _path(raw)
    _SEEN[key_of(raw)] = data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        Path(file.name).replace(path)
    except OSError:
        pass
    return restored(ir.from_proto(_parsed(data)))


def serialized(model: ir.Model) -> bytes:
    """The graph as ONNX; parameters are inputs behind the model's own, whose number is noted."""
    copy = model.clone()
    graph = copy.graph
    copy.metadata_props["tricast.inputs"] = str(len(graph.inputs))
    for name, value in list(graph.initializers.items()):
        if value.const_value is None:
            del graph.initializers[name]
            graph.inputs.append(value)
    return bytes(ir.to_proto(copy).SerializeToString(deterministic=True))


def _parsed(data: bytes) -> Any:
    import onnx

    return onnx.load_from_string(data)


def restored(model: ir.Model) -> ir.Model:
    """The graph that was serialized, its parameters initializers without a weight again."""
    own = int(model.metadata_props.pop("tricast.inputs"))
    for value in list(model.graph.inputs)[own:]:
        model.graph.inputs.remove(value)
        assert value.name is not None
        model.graph.initializers[value.name] = value
    return model


def _path(raw: Mapping[str, Any]) -> Path:
    return cache_folder() / "imported" / f"{key_of(raw)}.onnx"


@cache
def _versions() -> tuple[str, ...]:
    """Of the packages, and a hash of the code that makes graphs."""
    own = hashlib.sha256()
    root = Path(__file__).resolve().parent
    for path in sorted(root.rglob("*.py")):
        own.update(path.read_bytes())
    own.update((root.parent / "architectures" / "masks.py").read_bytes())
    return (*map(_version, _MADE_BY), own.hexdigest())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
