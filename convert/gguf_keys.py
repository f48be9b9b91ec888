"""An architecture's own metadata in a GGUF, with complaints that name the key."""

from __future__ import annotations

import math
from collections.abc import Set
from typing import Any

import numpy as np

from convert.errors import BadHeaderError, UnsupportedConfigError
from convert.sources.gguf_file import GgufFile


class ArchitectureKeys:
    """The keys that begin with the architecture's name.

    Args:
        gguf: The file.
        family: Value of ``general.architecture``.
        understood: Keys whose meaning is known, without the architecture's name.

    Raises:
        UnsupportedConfigError: There is another key, which may change the mathematics.
    """

    def __init__(self, gguf: GgufFile, family: str, understood: Set[str]) -> None:
        self.gguf, self.family = gguf, family
        self.own = {
            key.removeprefix(f"{family}."): value
            for key, value in gguf.metadata.items()
            if key.startswith(f"{family}.")
        }
        for key in sorted(self.own.keys() - understood):
            self.refuse(key, "a key whose meaning is known", self.own[key])

    def required(self, key: str) -> Any:
        """The value of a key that must be there.

        Raises:
            BadHeaderError: It is not.
        """
        if key not in self.own:
            raise BadHeaderError(
                f"{self.gguf.path}: metadata key {self.family}.{key} is missing",
                remedy="download or write the file again",
            )
        return self.own[key]

    def integer(self, key: str, default: int | None = None) -> int:
        """A positive integer, the same for all layers; required unless there is a default.

        Raises:
            BadHeaderError: It is missing or no positive integer.
            UnsupportedConfigError: Layers differ.
        """
        value = self.required(key) if default is None else self.own.get(key, default)
        if isinstance(value, np.ndarray):
            if value.size == 0 or (value != value[0]).any():
                self.refuse(key, "one value for all layers", value.tolist())
            value = value[0].item()
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise BadHeaderError(
                f"{self.gguf.path}: bad metadata key {self.family}.{key}",
                expected="a positive integer",
                found=repr(value),
                remedy="download or write the file again",
            )
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A positive number; required unless there is a default.

        Raises:
            BadHeaderError: It is missing or no positive number.
        """
        if default is None:
            self.required(key)
        value = self.gguf.value(f"{self.family}.{key}", float, default)
        if value is None or not math.isfinite(value) or value <= 0:
            raise BadHeaderError(
                f"{self.gguf.path}: bad metadata key {self.family}.{key}",
                expected="a positive number",
                found=repr(value),
                remedy="download or write the file again",
            )
        return value

    def expect(self, key: str, expected: int, meaning: str) -> None:
        """Refuse a key whose value, if it is there, is not the one that others imply.

        Raises:
            UnsupportedConfigError: It has another.
        """
        if self.integer(key, expected) != expected:
            self.refuse(key, f"{meaning}, {expected}", self.own[key])

    def refuse(self, key: str, expected: str, found: object) -> None:
        """Raise UnsupportedConfigError for a key."""
        raise UnsupportedConfigError(
            f"{self.gguf.path}: metadata key {self.family}.{key} is not supported",
            expected=expected,
            found=repr(found),
            remedy="convert from the original Hugging Face checkpoint",
        )
