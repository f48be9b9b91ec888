"""What is known of machines that convert together, and of the storage that they share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from convert.bounded_yaml import read_yaml
from convert.errors import UsageError
from convert.hardware.profile import Figure
from convert.recipe import faults

_S3_DESIGN = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns.html"
_S3_RATES = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"

_WINDOW = 8 << 20
_BITS = {"bit": 8, "bps": 8, "b": 8, "byte": 1, "B": 1}


def _figure(value: float, source: str) -> Any:
    return Field(default_factory=lambda: Figure(value=value, source=source))


class Fleet(BaseModel):
    """Equal workers, a driver that is one more machine like them, and the storage.

    Args:
        workers: How many there are, the driver left out.
        cores: Of a worker.
        network: Bytes a second into a machine, and as many out of it at the same time.
        storage: Bytes a second that the storage moves for all of them together.
        request: Bytes a second of one request to the storage.
        hashing: Bytes a second of one SHA-256.
        disk: Bytes a second onto the driver's disk.
        task: Seconds that it takes the driver to hand out a task and take back what came of it.
        start: Seconds before the first task runs, once the machines are up.
        price: Of a machine for an hour, in any currency; None if it is not known.
        shared: Whether all workers write into the folder of the artifacts, which is a shared file
            system. Otherwise the driver writes, and uploads, what they return.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    workers: int = Field(ge=1)
    cores: int = Field(default=16, ge=1)
    network: Figure = _figure(25e9 / 8, "assumed: a machine of 25 Gbit/s, see --network")
    storage: Figure = _figure(
        5500 * _WINDOW,
        f"5,500 requests/s of 8 MiB, which S3 answers at least for each prefix: {_S3_RATES}",
    )
    request: Figure = _figure(87.5e6, f"85 to 90 MB/s down, assumed for up as well: {_S3_DESIGN}")
    hashing: Figure = _figure(
        1e9, "measured: hashlib on a busy core of a Xeon with instructions for SHA-256"
    )
    disk: Figure = _figure(1e9, "assumed: a solid-state disk")
    task: Figure = _figure(
        3e-3, "measured: processor time of a driver for a task of Ray that returns 4 MiB"
    )
    start: Figure = _figure(30, "assumed: to join, import and compile")
    price: float | None = Field(default=None, ge=0)
    shared: bool = False

    @property
    def all_cores(self) -> int:
        """Of all workers together."""
        return self.workers * self.cores

    def figures(self) -> dict[str, Figure]:
        """All figures by name."""
        return {
            "network of a machine": self.network,
            "storage, all together": self.storage,
            "one request": self.request,
            "one SHA-256": self.hashing,
            "disk of the driver": self.disk,
            "a task": self.task,
            "start": self.start,
        }


def fleet_of(
    workers: int,
    *,
    cores: int | None = None,
    network: str | None = None,
    storage: str | None = None,
    price: float | None = None,
    profile: str | Path | None = None,
    shared: bool = False,
) -> Fleet:
    """A fleet as options describe it; they go before the profile.

    Args:
        network: A speed, see `parse_speed`.
        storage: Likewise.
        profile: YAML of what else is known, by the keys of `Fleet`.
        shared: See `Fleet`.

    Raises:
        UsageError: A number or a speed is none, or the profile is not of that form.
    """
    document: dict[str, Any] = dict(_read(profile)) if profile is not None else {}
    document |= {"workers": workers, "shared": shared}
    if cores is not None:
        document["cores"] = cores
    if price is not None:
        document["price"] = price
    for name, text in (("network", network), ("storage", storage)):
        if text is not None:
            document[name] = {"value": parse_speed(text), "source": f"as given with --{name}"}
    try:
        return Fleet.model_validate(document)
    except ValidationError as error:
        raise UsageError(
            "such a fleet cannot be",
            expected="workers and cores from 1 on, no negative price; in a profile, a value and a "
            "source for each other figure",
            found=faults(error),
        ) from error


def asked_fleet(workers: int | None, options: Mapping[str, Any], *, out: str) -> Fleet | None:
    """The fleet that is asked for, if one is.

    Args:
        options: Those of `fleet_of`; None for what is not given.
        out: Where artifacts go: a folder, which all workers see, or a URL.

    Raises:
        UsageError: There are options but no workers, or see `fleet_of`.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if workers is None and given:
        raise UsageError(
            "a fleet is described, and not how many work in it",
            expected="--workers N",
            found=", ".join(sorted(given)),
        )
    return None if workers is None else fleet_of(workers, shared=not is_url(out), **given)


def is_url(out: str) -> bool:
    """Whether artifacts go to object storage, which only the driver writes to."""
    return "://" in out


def parse_speed(text: str) -> float:
    """Bytes a second of a speed such as ``25Gbit/s``, ``25Gbps`` or ``3GB/s``.

    A number alone is in Gbit/s, as networks are sold.

    Raises:
        UsageError: Not a speed.
    """
    pattern = r"([0-9]+(?:\.[0-9]+)?) ?(?:([kKMGT])(bit|bps|byte|b|B)?(?:/s)?)?"
    match = re.fullmatch(pattern, text.strip())
    if match is None or not Decimal(match[1]):
        raise UsageError(
            f"cannot read the speed {text!r}",
            expected="bits or bytes a second, such as 25Gbit/s or 3GB/s; a number alone is Gbit/s",
        )
    unit = {"k": 3, "K": 3, "M": 6, "G": 9, "T": 12}[match[2] or "G"]
    return float(Decimal(match[1]) * 10**unit / _BITS[match[3] or "bit"])


def _read(path: str | Path) -> dict[str, Any]:
    try:
        document = read_yaml(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(
            f"cannot read the fleet {path}", found=str(error).replace("\n", " ")
        ) from error
    if not isinstance(document, dict):
        raise UsageError(
            f"the fleet {path} is no mapping", expected="keys such as `network` and `disk`"
        )
    return document
