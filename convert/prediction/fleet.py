"""How long a fleet takes to convert, and what holds it up.

Stages overlap: chunks are read, encoded and written all the time, hashes follow. So a run takes as
long as its slowest stage, and the start before it. All of them take less time with more workers, or
as much: what the driver and the storage do does not depend on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from convert.hardware.fleet import Fleet
from convert.inputs import FILES_AT_ONCE
from convert.prediction.fleet_work import FleetWork
from convert.sources.object_storage_files import WINDOWS_AHEAD
from convert.stream import CHUNK_BYTES

_WINDOWS = 2
"""A chunk begins in one of the windows that a worker reads and ends in the next; it reads both, one
after the other, and another worker those of the chunk that follows.
"""

_UPLOADS = 16
"""Parts of artifacts on their way to the storage at once."""

_AS_FAST = 1.01
"""A fleet is as fast as any larger one if that takes hardly less time."""

_MOST_WORKERS = 1 << 16

START = "start-up"
STORAGE, NETWORK, CORES, TEXT = "storage", "network of a worker", "cores", "text"
DRIVER, DISK, TASKS = "network of the driver", "disk of the driver", "tasks of the driver"
UPLOADS = "uploads"
SOURCE_HASH, MADE_HASH = "hash of the checkpoint", "hash of an artifact"

_REMEDIES = {
    START: "one machine is enough for a model of this size",
    STORAGE: "only storage with more bandwidth helps (--storage)",
    NETWORK: "more workers, or machines with a faster network (--network)",
    CORES: "more workers, or more cores in each (--cores-per-worker)",
    TEXT: "scales weighted by an --imatrix of the model need no text to run",
    DRIVER: "give the driver a faster network, or write into a folder that all workers share",
    DISK: "give the driver a faster disk, or write into a folder that all workers share",
    UPLOADS: "only storage that takes more of a request helps, or to write into a folder that all "
    "workers share",
    TASKS: "only fewer or larger weights would help",
    SOURCE_HASH: "only storage that gives more to a request helps: the driver reads the checkpoint "
    "once more for its SHA-256",
    MADE_HASH: "only a driver with a faster SHA-256 helps: one thread goes through each artifact",
}


@dataclass(frozen=True)
class Stage:
    """Something that takes its time.

    Args:
        name: What is at work.
        seconds: How long it is at work.
        doing: At what.
    """

    name: str
    seconds: float
    doing: str


@dataclass(frozen=True)
class FleetCost:
    """A conversion by a fleet."""

    work: FleetWork
    fleet: Fleet

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The longest first; the start is one of them."""
        start = Stage(START, self.fleet.start.value, "until the first task runs")
        return tuple(sorted([*_stages(self.work, self.fleet), start], key=lambda one: -one.seconds))

    @property
    def seconds(self) -> float:
        """The start, and what takes longest afterwards."""
        return self.fleet.start.value + max(
            stage.seconds for stage in _stages(self.work, self.fleet)
        )

    @property
    def bottleneck(self) -> Stage:
        """What takes longest."""
        return self.stages[0]

    @property
    def remedy(self) -> str:
        """What to change so that it takes less time."""
        return _REMEDIES[self.bottleneck.name]

    @property
    def most_useful(self) -> int:
        """The fewest workers than which more are hardly faster."""
        least = self.with_workers(_MOST_WORKERS).seconds * _AS_FAST
        low, high = 0, _MOST_WORKERS
        while high - low > 1:
            middle = (low + high) // 2
            if self.with_workers(middle).seconds <= least:
                high = middle
            else:
                low = middle
        return high

    @property
    def price(self) -> float | None:
        """Of all workers and the driver, in the currency of the price of one."""
        if self.fleet.price is None:
            return None
        return (self.fleet.workers + 1) * self.fleet.price * self.seconds / 3600

    def with_workers(self, count: int) -> FleetCost:
        """The same with another number of workers."""
        return replace(self, fleet=self.fleet.model_copy(update={"workers": count}))

    def to_json(self) -> dict[str, Any]:
        """The cost as plain values."""
        best = self.most_useful
        return {
            "workers": self.fleet.workers,
            "cores_per_worker": self.fleet.cores,
            "seconds": round(self.seconds, 1),
            "price": None if self.price is None else round(self.price, 2),
            "bottleneck": self.bottleneck.name,
            "remedy": self.remedy,
            "most_useful_workers": best,
            "seconds_with_them": round(self.with_workers(best).seconds, 1),
            "stages": {stage.name: round(stage.seconds, 1) for stage in self.stages},
            "written_by": "workers" if self.fleet.shared else "driver",
            "assumptions": {
                name: {"value": figure.value, "source": figure.source}
                for name, figure in self.fleet.figures().items()
            },
            "not_estimated": list(self.work.not_estimated),
        }


def _stages(work: FleetWork, fleet: Fleet) -> Iterator[Stage]:
    """Everything after the start."""
    yield from _by_workers(work, fleet)
    yield from _by_driver(work, fleet)
    read, copies = (1 + _WINDOWS) * work.source, 2 if fleet.shared else 1
    yield Stage(
        STORAGE,
        (read + copies * work.made) / fleet.storage.value,
        f"{1 + _WINDOWS} times the checkpoint out, artifacts in"
        + (" and out again" if fleet.shared else ""),
    )


def _by_workers(work: FleetWork, fleet: Fleet) -> Iterator[Stage]:
    """What takes less time the more workers there are."""
    text, read = work.text, _WINDOWS * work.source
    values_in, values_out = (text.inputs, text.outputs) if text else (0.0, 0.0)
    received = read / fleet.workers + values_in
    returned = (work.made + values_out) / fleet.workers
    yield Stage(
        NETWORK, max(received, returned) / fleet.network.value, "chunks in, encoded bytes out"
    )
    waiting = read / fleet.request.value
    share = 100 * waiting / (waiting + work.encoding)
    yield Stage(
        CORES,
        (waiting + work.encoding) / fleet.all_cores,
        f"each reads a chunk ({share:.0f} % of its time), then encodes it",
    )
    if text is not None:
        reading = _WINDOWS * CHUNK_BYTES / fleet.request.value
        yield Stage(
            TEXT,
            text.seconds(fleet.all_cores, reading, fleet.task.value),
            f"{text.tokens} tokens through {sum(text.matrices.values()):,} weights in turn",
        )


def _by_driver(work: FleetWork, fleet: Fleet) -> Iterator[Stage]:
    """What takes as long with any number of workers."""
    values = (work.text.inputs, work.text.outputs) if work.text else (0.0, 0.0)
    hashing, request, made = fleet.hashing.value, fleet.request.value, work.made
    into, out = work.source + made + values[1], (0 if fleet.shared else made) + values[0]
    come = "read back to hash" if fleet.shared else "returned and uploaded"
    yield Stage(
        DRIVER, max(into, out) / fleet.network.value, f"checkpoint to hash, artifacts {come}"
    )
    if not fleet.shared:
        yield Stage(DISK, made / fleet.disk.value, "artifacts until they are complete")
        yield Stage(UPLOADS, made / (_UPLOADS * request), f"artifacts, {_UPLOADS} parts at once")
    yield Stage(TASKS, work.chunks * fleet.task.value, f"{work.chunks:,}, of a chunk each")
    reading = FILES_AT_ONCE * min(hashing, WINDOWS_AHEAD * request)
    yield Stage(
        SOURCE_HASH,
        work.source / reading,
        f"read once more, {FILES_AT_ONCE} files at once by {WINDOWS_AHEAD} requests each",
    )
    yield Stage(MADE_HASH, max(work.artifacts) / hashing, "the largest, from end to end")
