"""How long importing a model takes: the first time, and from the cache; no weights are needed.

    python -m bench.import_times                      # a Llama and a Qwen2 of 70B parameters
    python -m bench.import_times --type gemma2 --layers 46

Each time is of a process of its own, from its start to the end, and so has the imports of Python
packages in it. ``plan`` is `convert plan` of the same config, with the graph in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SHAPE = {
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
}

_IMPORT = """
import json, sys
from convert.importing.architecture import Imported
raw = json.load(open(sys.argv[1]))
model = Imported(raw, raw["architectures"][0])
print(len(model.parameters(model.parse(raw))), "parameters")
"""

_PLAN = "from convert.__main__ import main; import sys; sys.exit(main(sys.argv[1:]))"


@dataclass(frozen=True)
class Time:
    """Seconds on the clock, and of processors."""

    wall: float
    cpu: float


def config_of(kind: str, layers: int) -> dict[str, object]:
    """A config.json of the shape of a model of 70B parameters."""
    from convert.importing.skeleton import class_names

    named = {"architectures": [class_names()[kind]], "model_type": kind}
    return {**named, **_SHAPE, "num_hidden_layers": layers}


def measure(config: Mapping[str, object]) -> dict[str, Time]:
    """Times of the first import, of the second, and of a plan."""
    with tempfile.TemporaryDirectory() as folder:
        file, cache = Path(folder) / "config.json", Path(folder) / "cache"
        file.write_text(json.dumps(config))
        plan = ("plan", str(file), "--to", "openvino:int8")
        return {
            "first": _timed(cache, _IMPORT, str(file)),
            "cached": _timed(cache, _IMPORT, str(file)),
            "plan": _timed(cache, _PLAN, *plan),
        }


def _timed(cache: Path, program: str, *arguments: str) -> Time:
    variables = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    before, started = _child_seconds(), time.perf_counter()
    command = [sys.executable, "-c", program, *arguments]
    subprocess.run(command, env=variables, check=True, stdout=subprocess.DEVNULL)
    return Time(time.perf_counter() - started, _child_seconds() - before)


def _child_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(times: Mapping[str, Mapping[str, Time]], layers: int) -> str:
    """The times in Markdown."""
    lines = [
        f"| type, {layers} layers | first import | from the cache | plan |",
        "|---|--:|--:|--:|",
    ]
    for kind, each in times.items():
        cells = [f"{one.wall:.1f} s ({one.cpu:.1f} s CPU)" for one in each.values()]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--type", nargs="+", default=["llama", "qwen2"], dest="types")
    parser.add_argument("--layers", type=int, default=80)
    options = parser.parse_args(arguments)
    times = {kind: measure(config_of(kind, options.layers)) for kind in options.types}
    print(table(times, options.layers))


if __name__ == "__main__":
    main()
