"""What installed packages add to Tricast: architectures, passes, encodings and targets.

A package names them as entry points (packaging.python.org, "Entry points specification"); each is
imported only when it is asked for. docs/extending.md walks through an example.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, Generic, TypeVar

from convert.errors import ExtensionError

Kind = TypeVar("Kind")

_PREFIX = "tricast."
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Offer:
    """An entry point of a package.

    Args:
        group: As ``tricast.targets``.
        name: Of what it offers.
        package: Its name and version.
        entry: To load it.
    """

    group: str
    name: str
    package: str
    entry: metadata.EntryPoint


class Extensions(Generic[Kind]):
    """All that packages offer of one kind.

    Args:
        kind: ``targets``, as in ``tricast.targets``.
        base: Gives the class that they have; asked only when one is loaded.
        names: Gives the names that a loaded one has.
        required: Attributes that it must have besides.
        as_class: Whether classes are wanted, rather than objects made of them.
        any_name: Whether a name need not be one that the command line takes.
    """

    def __init__(
        self,
        kind: str,
        base: Callable[[], type],
        names: Callable[[Any], Collection[str]],
        *,
        required: Sequence[str] = (),
        as_class: bool = False,
        any_name: bool = False,
    ) -> None:
        self._kind, self._base, self._names = kind, base, names
        self._required, self._as_class, self._any_name = required, as_class, any_name
        self._load = cache(self._loaded)

    def names(self) -> tuple[str, ...]:
        """Names of all that is offered, loadable or not."""
        return offered_names(self._kind)

    def find(self, name: str, built_in: Collection[str]) -> Kind | None:
        """What is offered under a name; None if nothing is.

        Args:
            name: What is asked for.
            built_in: Names that no package may offer.

        Raises:
            ExtensionError: What is offered is broken, or the name is taken; the package is named.
        """
        offers = self._offers().get(name, ())
        if not offers:
            return None
        if name in built_in:
            raise _refused(offers[0], "the name is built in", "a name of its own")
        if len(offers) > 1:
            others = ", ".join(offer.package for offer in offers[1:])
            raise _refused(offers[0], f"so does {others}", "a name that one package offers")
        return self._load(offers[0])

    def _offers(self) -> dict[str, tuple[Offer, ...]]:
        return _all_offers(tuple(sys.path)).get(f"{_PREFIX}{self._kind}", {})

    def _loaded(self, offer: Offer) -> Kind:
        if not self._any_name and not _NAME.fullmatch(offer.name):
            raise _refused(offer, "that is no name", "lower-case letters, digits and underscores")
        base = self._base()
        try:
            value = offer.entry.load()
            if not isinstance(value, base) and not self._as_class:
                value = value()
        except (Exception, SystemExit) as error:
            found = f"{type(error).__name__}: {error}"
            raise _refused(offer, found, "something that can be imported and made") from error
        fits = (
            isinstance(value, type) and issubclass(value, base)
            if self._as_class
            else isinstance(value, base)
        )
        if not fits:
            raise _refused(offer, repr(value), f"a {base.__module__}.{base.__name__}")
        lacking = [name for name in self._required if not hasattr(value, name)]
        if lacking:
            raise _refused(offer, f"without {', '.join(lacking)}", f"all that a {base.__name__} is")
        names = self._names(value)
        if offer.name not in names:
            raise _refused(offer, f"it calls itself {', '.join(names)}", "the entry point's name")
        made: Kind = value
        return made


def offered_names(kind: str) -> tuple[str, ...]:
    """Names that packages offer of a kind, such as ``targets``."""
    return tuple(sorted(_all_offers(tuple(sys.path)).get(f"{_PREFIX}{kind}", {})))


def offering_packages() -> tuple[str, ...]:
    """Names of the installed packages that offer anything to Tricast."""
    groups = _all_offers(tuple(sys.path)).values()
    return tuple(
        sorted({
            offer.package.partition(" ")[0]
            for offers in groups
            for same in offers.values()
            for offer in same
        })
    )  # fmt: skip


@cache
def _all_offers(path: tuple[str, ...]) -> dict[str, dict[str, tuple[Offer, ...]]]:
    """What the packages on a path offer, by group and name."""
    found: dict[str, dict[str, tuple[Offer, ...]]] = {}
    seen: set[str] = set()
    for package in metadata.distributions(path=list(path)):
        # To parse what says nothing about Tricast would take long.
        if _PREFIX not in (package.read_text("entry_points.txt") or ""):
            continue
        name = package.metadata["Name"] or "without a name"
        if name in seen:  # The first on the path is the one that is imported.
            continue
        seen.add(name)
        for entry in package.entry_points:
            if entry.group.startswith(_PREFIX):
                offer = Offer(entry.group, entry.name, f"{name} {package.version}", entry)
                names = found.setdefault(entry.group, {})
                names[entry.name] = (*names.get(entry.name, ()), offer)
    return found


def _refused(offer: Offer, found: str, expected: str) -> ExtensionError:
    kind = offer.group.removeprefix(_PREFIX)
    return ExtensionError(
        f"the package {offer.package} offers {offer.name!r} among its {kind}, which cannot be used",
        expected=expected,
        found=found,
        remedy="update the package or remove it",
    )
