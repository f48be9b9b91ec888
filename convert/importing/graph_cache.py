"""Imported graphs, kept between runs by their config and all that made them."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import onnx_ir as ir

from convert.cache_folder import cache_folder

_UNRELATED = frozenset(
    ("_name_or_path", "auto_map", "dtype", "torch_dtype", "transformers_version", "use_cache")
)
"""Keys of a config that no graph depends on."""

_INPUTS = "tricast.inputs"

_MADE_BY = ("torch", "transformers", "onnx-ir")


def key_of(raw: Mapping[str, Any]) -> str:
    """Equal for configs that give the same graph, with the same versions of all that makes it."""
    config = {key: value for key, value in raw.items() if key not in _UNRELATED}
    stated = [json.dumps(config, sort_keys=True, default=repr), *_versions()]
    return hashlib.sha256("\n".join(stated).encode()).hexdigest()


def has(raw: Mapping[str, Any]) -> bool:
    """Whether the graph of a config is kept on disk."""
    return _path(key_of(raw)).is_file()


def graph_of(raw: Mapping[str, Any]) -> ir.Model:
    """The graph of a config without weights, the caller's own: kept, or made and kept.

    Raises:
        UnsupportedArchitectureError: It cannot be imported.
    """
    return restored(ir.from_proto(_graph(json.dumps(dict(raw), sort_keys=True))))


@lru_cache(maxsize=4)
def _graph(config: str) -> Any:
    raw = json.loads(config)
    path = _path(key_of(raw))
    try:
        found = _parsed(path.read_bytes())
    except Exception:  # a damaged file is as good as none
        found = None
    if found is not None and any(each.key == _INPUTS for each in found.metadata_props):
        return found
    data = serialized(_made(raw))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        Path(file.name).replace(path)
    except OSError:
        pass
    return _parsed(data)


def _made(raw: Mapping[str, Any]) -> ir.Model:
    from convert.importing.describing import describe
    from convert.importing.graphs import imported_graph
    from convert.importing.skeleton import skeleton

    made = skeleton(raw)
    model = imported_graph(made)
    describe(model, made)
    return model


def serialized(model: ir.Model) -> bytes:
    """The graph as ONNX; parameters are inputs behind the model's own, whose number is noted."""
    copy = model.clone()
    graph = copy.graph
    copy.metadata_props[_INPUTS] = str(len(graph.inputs))
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
    own = int(model.metadata_props.pop(_INPUTS))
    for value in list(model.graph.inputs)[own:]:
        model.graph.inputs.remove(value)
        assert value.name is not None
        model.graph.initializers[value.name] = value
    return model


def _path(key: str) -> Path:
    return cache_folder() / "imported" / f"{key}.onnx"


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
