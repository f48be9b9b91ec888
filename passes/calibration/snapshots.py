"""What a run holds at some point, kept in one file, so that a killed run goes on from there.

The file is in the safetensors format. It is replaced as a whole, and trusted only if it says that
it belongs to the same run and its bytes have the checksum that it names.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import xxhash
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by name; of the dtypes below."""

SECONDS_BETWEEN = 2.0
_COST = 0.01
"""Share of a run's time that keeping it may take."""

_FORM = 1
_DTYPES = {"float32": "F32", "float64": "F64", "int64": "I64", "bool": "BOOL", "uint8": "U8"}


class Snapshots:
    """The newest snapshot of one run, in a file.

    Args:
        path: The file; it need not be there.
        identity: Equal for two runs exactly if one may go on where the other was killed.
        seconds_between: Least time between two snapshots; more where writing one is slow.
    """

    def __init__(
        self, path: Path, identity: str, *, seconds_between: float = SECONDS_BETWEEN
    ) -> None:
        self._path = path
        self._identity = identity
        self._pause = seconds_between
        self._due = time.monotonic() + seconds_between

    def load(self) -> Arrays | None:
        """What an earlier run kept, read from the file when asked for.

        None if there is nothing, or if it is torn, damaged or of another run.
        """
        try:
            stored = _Stored(self._path)
        except (OSError, SafetensorError, ValueError):
            return None
        return stored if stored.is_whole(self._identity) else None

    def offer(self, state: Callable[[], Arrays]) -> None:
        """Keep a state, if it is time to.

        Args:
            state: Gives C-contiguous arrays; called only if they will be written.

        Raises:
            OSError: The file cannot be written.
        """
        started = time.monotonic()
        if started < self._due:
            return
        self.keep(state())
        ended = time.monotonic()
        self._due = ended + max(self._pause, (ended - started) / _COST)

    def keep(self, state: Arrays) -> None:
        """Keep a state now. Raises as `offer` does."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f"{self._path.name}.partial")
        with partial.open("wb") as file:
            file.write(_header(self._identity, state))
            for array in state.values():
                file.write(_bytes_of(array))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path)

    def remove(self) -> None:
        """Forget the run: it is over."""
        self._path.unlink(missing_ok=True)
        self._path.with_name(f"{self._path.name}.partial").unlink(missing_ok=True)


class Named(Mapping[str, NDArray[Any]]):
    """Arrays under other names, or of several places; each is asked for when it is asked for here.

    Args:
        places: Where to find each: arrays, and its name among them.
    """

    def __init__(self, places: Mapping[str, tuple[Arrays, str]]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> NDArray[Any]:
        arrays, known_as = self._places[name]
        return arrays[known_as]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def joined(*several: Arrays) -> Named:
    """All arrays; their names differ."""
    return Named({name: (arrays, name) for arrays in several for name in arrays})


def below(prefix: str, arrays: Arrays) -> Named:
    """The arrays under longer names."""
    return Named({f"{prefix}.{name}": (arrays, name) for name in arrays})


def within(prefix: str, arrays: Arrays) -> Named:
    """What `below` was given."""
    start = f"{prefix}."
    return Named({name[len(start) :]: (arrays, name) for name in arrays if name.startswith(start)})


def identity_of(model: ir.Model, *more: Any) -> str:
    """What tells runs of one graph apart from those of another.

    Args:
        model: Its nodes, and names, shapes and types of its weights count, not their values.
        more: Whatever else makes a run what it is, as JSON: hash of the checkpoint, tokens, ...
    """
    nodes = [
        [
            node.op_type,
            node.name,
            [str(attribute) for attribute in node.attributes.values()],
            [None if value is None else value.name for value in node.inputs],
            [value.name for value in node.outputs],
        ]
        for node in model.graph
    ]
    constants = [
        [name, str(value.dtype), str(value.shape)]
        for name, value in model.graph.initializers.items()
    ]
    described = json.dumps([_FORM, metadata.version("numpy"), nodes, constants, more])
    return sha256(described.encode()).hexdigest()


class _Stored(Mapping[str, NDArray[Any]]):
    """The arrays of a file; each is read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self._file: Any = safe_open(path, framework="numpy")
        self._names: list[str] = [*self._file.keys()]  # type: ignore[no-untyped-call]

    def is_whole(self, identity: str) -> bool:
        """Whether the file is of this run, and its bytes are those that were written."""
        said = self._file.metadata() or {}
        return bool(said.get("identity") == identity and said.get("checksum") == _checksum(self))

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        found: NDArray[Any] = self._file.get_tensor(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _header(identity: str, state: Arrays) -> bytes:
    """See https://huggingface.co/docs/safetensors: length, JSON, padding to eight bytes."""
    entries: dict[str, Any] = {"__metadata__": {"identity": identity, "checksum": _checksum(state)}}
    offset = 0
    for name, array in state.items():
        entries[name] = {
            "dtype": _DTYPES[array.dtype.name],
            "shape": array.shape,
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _checksum(state: Arrays) -> str:
    summed = xxhash.xxh3_64()
    for name in sorted(state):
        summed.update(name.encode())
        summed.update(_bytes_of(state[name]))
    return summed.hexdigest()


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
