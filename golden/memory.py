"""How much memory is free, and how much the original needs to run here."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

from convert.errors import BadHeaderError, MissingFileError, OutOfMemoryError

GIB = 1 << 30
OVERHEAD = GIB // 2
"""Libraries, activations of a short prompt, one prompt's logits."""


def require_memory(folder: Path) -> None:
    """Refuse to load a model in float32 that does not fit.

    Raises:
        OutOfMemoryError: It does not; the message says how to go on.
    """
    require(_needed(folder))


def fits(folder: Path) -> bool:
    """Whether a model fits into memory in float32. Raises as `count_parameters` does."""
    return _needed(folder) <= available_memory()


def require(needed: int) -> None:
    """Refuse to go on without so many bytes of memory. Raises as `require_memory` does."""
    available = available_memory()
    if needed > available:
        raise OutOfMemoryError(
            "the original is too large to run here in float32",
            expected=f"{needed / GIB:.1f} GiB of free memory",
            found=f"{available / GIB:.1f} GiB",
            remedy="give a recording made on a larger machine with --golden FILE, or skip the "
            "comparison with --no-gate (the manifest will say unverified)",
        )


def count_parameters(folder: Path) -> int:
    """Parameters of a checkpoint, from its safetensors headers or the sizes of its .bin files.

    A .bin file is taken to hold 16-bit weights, which errs on the side of refusing.

    Raises:
        MissingFileError: The folder holds no weights.
        BadHeaderError: A header cannot be parsed.
    """
    shards = _safetensors_shards(folder)
    if shards:
        return sum(map(_count_in_header, shards))
    pickles = sorted(folder.glob("pytorch_model*.bin"))
    if not pickles:
        raise MissingFileError(f"{folder.name} holds no weights")
    return sum(path.stat().st_size for path in pickles) // 2


def _needed(folder: Path) -> int:
    return 4 * count_parameters(folder) + OVERHEAD


def available_memory() -> int:
    """Bytes that can be allocated without swapping: the machine's or the control group's."""
    limits = [_meminfo_available(), *_cgroup_available()]
    return min(limit for limit in limits if limit is not None)


def _safetensors_shards(folder: Path) -> list[Path]:
    """The files transformers reads; a folder may hold the same weights in a second layout."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadHeaderError(f"{index.name} is damaged", found=str(error)) from error
        return [folder / Path(str(name)).name for name in sorted(names)]
    single = folder / "model.safetensors"
    return [single] if single.is_file() else sorted(folder.glob("*.safetensors"))


def _count_in_header(path: Path) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    except FileNotFoundError as error:
        raise MissingFileError(f"{path.name} of the checkpoint is missing") from error
    except SafetensorError as error:
        raise BadHeaderError(f"{path.name} is damaged", found=str(error)) from error
    return sum(math.prod(shape) for shape in shapes)


def _meminfo_available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cgroup_available(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """Room under every memory limit that applies to this process, cgroup v1 and v2."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    rooms = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        base = root / "memory" if controllers else root
        limit, usage = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes")
            if controllers
            else ("memory.max", "memory.current")
        )
        folder = base / group.lstrip("/")
        for level in (folder, *folder.parents):
            # A container may not see its own path; the root then shows its limits.
            if level == base or base in level.parents:
                room = _room(level, limit, usage)
                rooms += [] if room is None else [room]
    return rooms


def _room(folder: Path, limit: str, usage: str) -> int | None:
    try:
        allowed = int((folder / limit).read_text())
        used = int((folder / usage).read_text())
        statistics = dict(
            line.split() for line in (folder / "memory.stat").read_text().splitlines()
        )
    except (OSError, ValueError):  # no such file, or a limit of "max"
        return None
    # Cached file pages count as used but are given up on demand.
    cached = statistics.get("total_inactive_file", statistics.get("inactive_file", "0"))
    return max(0, allowed - used + int(cached))
