"""Which model types of transformers are imported, and why others are not, as it was tried out.

`bench.architectures` makes the file that is read here, for one version of transformers.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from types import MappingProxyType

FILE = "tried_types.json"
"""In the package `convert`."""

_PACKAGE = "transformers"


@dataclass(frozen=True)
class TriedType:
    """A model type.

    Args:
        kind: ``model_type`` of a config.
        name: Of its class of causal language models, as in ``architectures`` of a config; empty if
            the type could not be tried.
        refused: Why it is not imported; None if it is.
        lacking: Why a target does not run it, by the target's name.
    """

    kind: str
    name: str
    refused: str | None
    lacking: Mapping[str, str]

    def meaning(self, chosen: Mapping[str, Collection[str]]) -> str:
        """For a list of architectures.

        Args:
            chosen: See `importable`.
        """
        if self.refused is not None:
            return f"refused: {self.refused}"
        also = [target for target, kinds in chosen.items() if self.kind in kinds]
        further = f"; also for {', '.join(also)}" if also else ""
        lacking = "".join(f"; not for {target}: {why}" for target, why in self.lacking.items())
        return f"imported from {_PACKAGE} ({self.kind}){further}{lacking}"


@dataclass(frozen=True)
class TriedTypes:
    """All types of one version of transformers."""

    version: str
    types: tuple[TriedType, ...]

    def as_json(self) -> str:
        """The file."""
        types = [asdict(each) for each in self.types]
        return json.dumps({"version": self.version, "types": types}, indent=1) + "\n"


@cache
def tried_types() -> TriedTypes:
    """What was found when the types were tried out."""
    kept = json.loads((files("convert") / FILE).read_text(encoding="utf-8"))
    return TriedTypes(kept["version"], tuple(TriedType(**each) for each in kept["types"]))


def importable(
    written: Iterable[str], chosen: Mapping[str, Collection[str]] = MappingProxyType({})
) -> Iterator[tuple[str, str]]:
    """Classes of the installed transformers without a hand-written architecture.

    Args:
        written: Names of the classes that have one.
        chosen: Types that targets take which write no graphs, by the target's name.

    Returns:
        Name of each class, and whether it is imported, as far as that is known.
    """
    tried, installed = tried_types(), _installed()
    if installed is None:
        return
    known = {each.kind: each for each in tried.types}
    same = installed == tried.version
    names = {kind: each.name or kind for kind, each in known.items()} if same else _class_names()
    kinds: dict[str, list[str]] = {}
    for kind, name in names.items():
        kinds.setdefault(name, []).append(kind)
    for name in sorted(kinds.keys() - set(written)):
        found = [known[kind].meaning(chosen) for kind in kinds[name] if kind in known]
        said = "; ".join(dict.fromkeys(found)) or f"not tried with {_PACKAGE} {installed}"
        yield name, said if same or not found else f"with {_PACKAGE} {tried.version}: {said}"


def _installed() -> str | None:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return None


def _class_names() -> Mapping[str, str]:
    from convert.importing.skeleton import class_names

    return class_names()
