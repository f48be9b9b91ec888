"""Reads config.json key by key, checks every value, and refuses what nobody read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.architectures.harmless import HARMLESS_KEYS, NEUTRAL_VALUES
from convert.errors import BrokenInputError, UnsupportedConfigError

_SMALLEST, _LARGEST = 1e-30, 2**62
"""Beyond these, arithmetic on a value that passed the checks could overflow."""

_REMEDIES = {
    "quantization_config": "convert the checkpoint from before it was quantized",
}


class ConfigReader:
    """A section of config.json that remembers which of its keys were read.

    A key that is null counts as absent, unless a method says otherwise.

    Args:
        values: The section.
        where: What to call it in messages.
    """

    def __init__(self, values: Mapping[str, Any], where: str = "config.json") -> None:
        self._values = values
        self._where = where
        self._read: set[str] = set()

    def states(self, key: str) -> bool:
        """Whether the key is there, be it null."""
        return key in self._values

    def raw(self, key: str) -> Any:
        """The value as it is; None if absent."""
        self._read.add(key)
        return self._values.get(key)

    def integer(
        self, key: str, default: int | None = None, *, minimum: int = 1, maximum: int = _LARGEST
    ) -> int:
        """An integer of at least ``minimum``; without a default it must be there."""
        value = self._present(key, default)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not minimum <= value <= maximum:
            raise self.broken(key, f"an integer from {minimum} to {maximum}")
        return int(value)

    def integer_of(self, *keys: str, maximum: int = _LARGEST) -> int:
        """A positive integer that goes by several names; those that are stated must agree."""
        stated = [key for key in keys if self.raw(key) is not None] or list(keys[:1])
        value = self.integer(stated[0], maximum=maximum)
        for key in stated[1:]:
            if self.integer(key, maximum=maximum) != value:
                raise self.broken(key, f"{value}, as {stated[0]} says")
        return value

    def optional_integer(self, key: str, *, minimum: int = 1) -> int | None:
        """An integer of at least ``minimum``, or None if the key is null or absent."""
        return None if self.raw(key) is None else self.integer(key, minimum=minimum)

    def number(self, key: str, default: float | None = None, *, above: float = 0.0) -> float:
        """A number greater than ``above``; without a default it must be there."""
        value = self._present(key, default)
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if not numeric or not max(above, _SMALLEST) < value < _LARGEST:
            raise self.broken(key, f"a number between {above:g} and {_LARGEST:g}")
        return float(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value = self._present(key, default)
        if not isinstance(value, bool):
            raise self.broken(key, "true or false")
        return value

    def text(self, key: str, default: str) -> str:
        """A string."""
        value = self._present(key, default)
        if not isinstance(value, str):
            raise self.broken(key, "a string")
        return value

    def section(self, key: str) -> ConfigReader | None:
        """A nested mapping; None if absent or empty."""
        value = self.raw(key)
        if value is None or value == {}:
            return None
        if not isinstance(value, Mapping):
            raise self.broken(key, "a mapping")
        return ConfigReader(value, f"{key} of {self._where}")

    def broken(self, key: str, expected: str) -> BrokenInputError:
        """The error for a value that cannot be."""
        found = repr(self._values[key]) if key in self._values else "no such key"
        return BrokenInputError(
            f"{self._where}: {key!r} is not usable",
            expected=expected,
            found=found,
            remedy="fetch the checkpoint's config.json again, or correct it",
        )

    def unsupported(self, key: str, expected: str) -> UnsupportedConfigError:
        """The error for a value that asks for mathematics that is not implemented."""
        return UnsupportedConfigError(
            f"{self._where}: {key!r} asks for something that is not implemented",
            expected=expected,
            found=repr(self._values.get(key)),
            remedy="convert a checkpoint without it; ignoring it would change the model",
        )

    def refuse_unread(self) -> None:
        """Refuse the first key that was neither read nor is known to change nothing.

        Raises:
            UnsupportedConfigError: Naming the key and its value.
        """
        for key, value in self._values.items():
            if key in self._read or key in HARMLESS_KEYS or _says_nothing(value):
                continue
            if key in NEUTRAL_VALUES and value == NEUTRAL_VALUES[key]:
                continue
            raise UnsupportedConfigError(
                f"{self._where}: {key!r} is not known and may change the mathematics",
                expected="only keys that this architecture defines",
                found=f"{key} = {_shortened(value)}",
                remedy=_REMEDIES.get(key, "remove the key if the model does not depend on it"),
            )

    def _present(self, key: str, default: Any) -> Any:
        value = self.raw(key)
        if value is None:
            value = default
        if value is None:
            raise self.broken(key, "a value")
        return value


def _says_nothing(value: Any) -> bool:
    """Null, false and empty containers switch nothing on; zero might."""
    return value is None or value is False or value in ("", [], {})


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
