"""The intermediate values of a run over several texts, each dropped after its last use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.graph import ATTENTION_MASK, INPUT_IDS, POSITION_IDS
from convert.parameter import Parameter
from passes.calibration.reading import as_float32
from passes.calibration.snapshots import Arrays
from passes.calibration.spill import SMALLEST_BYTES, Spill, Spilled
from passes.calibration.steps import Step

Array = NDArray[Any]
Text = Sequence[int]


class HeldValues:
    """Values of a graph by text.

    What depends on the number of tokens alone (masks, rotary angles) is held once for all texts
    of that length.

    Args:
        model: The graph, whose inputs are filled in.
        texts: Tokens of each text.
        reads: How often each value will be released; it is dropped then.
        spill: Where large values of texts go that are put away; without it they stay in memory.
    """

    def __init__(
        self,
        model: ir.Model,
        texts: Sequence[Text],
        reads: Counter[ir.Value],
        spill: Spill | None = None,
    ) -> None:
        lengths = [len(text) for text in texts]
        self._first_alike = [lengths.index(length) for length in lengths]
        self._reads = reads.copy()
        self._numbers = {value: number for number, value in enumerate(reads)}
        self._held: dict[ir.Value, dict[int, Array | Spilled]] = {}
        self._spill = spill
        for value in model.graph.inputs:
            self.put(value, {text: _fed(value, tokens) for text, tokens in enumerate(texts)})

    def texts(self, *, all_texts: bool) -> Sequence[int]:
        """All texts, or one of each length."""
        return range(len(self._first_alike)) if all_texts else sorted(set(self._first_alike))

    def branch(self, text: int) -> int:
        """The number of one more text, which so far has been the same as ``text``."""
        branch = len(self._first_alike)
        self._first_alike.append(self._first_alike[text])
        for held in self._held.values():
            if text in held:
                held[branch] = held[text]
        return branch

    def get(self, value: ir.Value, text: int) -> Array:
        """What a value is for a text."""
        held = self._held[value]
        return self._loaded(held[text] if text in held else held[self._first_alike[text]])

    def put(self, value: ir.Value, found: Mapping[int, Array]) -> None:
        """Hold a value, by text, if something will read it; further texts may follow."""
        if self._reads[value]:
            self._held.setdefault(value, {}).update(found)

    def put_away(self, text: int) -> None:
        """Move what is large of a text to disk, if there is a place for it, and lay out the rest
        as if it came from there: how sums are taken may depend on it.
        """
        for held in self._held.values():
            array = held.get(text)
            if isinstance(array, np.ndarray):
                if self._spill is not None and array.nbytes >= SMALLEST_BYTES:
                    held[text] = self._spill.put(array)
                else:
                    held[text] = np.asarray(array, order="C")

    def ending(self, steps: Sequence[Step]) -> list[list[ir.Value]]:
        """Of the values that each of the next steps reads, those that nothing reads after it, but
        for values that texts have in common.
        """
        everyone, left = len(self._first_alike), self._reads.copy()
        own = {value for value, held in self._held.items() if len(held) == everyone}
        found = []
        for step in steps:
            left.subtract(step.inputs)
            found.append(
                [value for value in dict.fromkeys(step.inputs) if value in own and not left[value]]
            )
            own.update(step.node.outputs if step.by_text else ())
        return found

    def drop(self, values: Sequence[ir.Value], text: int) -> None:
        """Drop values for one text, before the others are done with."""
        for value in values:
            self._forget(self._held[value].pop(text, None))

    def settle(self) -> None:
        """Lay out in memory what is held as it will be when it comes from a snapshot: how sums are
        taken may depend on it.
        """
        for held in self._held.values():
            for text, array in held.items():
                if isinstance(array, np.ndarray):
                    held[text] = np.asarray(array, order="C")

    def to_arrays(self) -> Arrays:
        """All values that are held now, for `from_arrays`; what is on disk is read when it is asked
        for.
        """
        self.settle()
        return _Loading(
            self._loaded,
            {
                f"{self._numbers[value]}.{text}": array
                for value, held in self._held.items()
                for text, array in held.items()
            },
        )

    def from_arrays(self, arrays: Arrays) -> None:
        """Hold what another one did whose values were released as often as those of this one."""
        self._held.clear()
        values = {str(number): value for value, number in self._numbers.items()}
        for name, array in arrays.items():
            number, _, text = name.partition(".")
            self._held.setdefault(values[number], {})[int(text)] = array
            self.put_away(int(text))

    def release(self, value: ir.Value) -> None:
        """Count one use of a value as done."""
        self._reads[value] -= 1
        if not self._reads[value]:
            for array in self._held.pop(value, {}).values():
                self._forget(array)

    def _loaded(self, array: Array | Spilled) -> Array:
        if isinstance(array, Spilled):
            assert self._spill is not None
            return self._spill.get(array)
        return array

    def _forget(self, array: Array | Spilled | None) -> None:
        if isinstance(array, Spilled):
            assert self._spill is not None
            self._spill.free(array)


class _Loading(Mapping[str, Array]):
    """Arrays of which some are on disk."""

    def __init__(
        self, load: Callable[[Array | Spilled], Array], held: Mapping[str, Array | Spilled]
    ) -> None:
        self._load, self._held = load, held

    def __getitem__(self, name: str) -> Array:
        return self._load(self._held[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def constant(value: ir.Value) -> Array | None:
    """What an initializer holds, a parameter read as float32; None of any other value."""
    tensor = value.const_value
    if isinstance(tensor, Parameter):
        rows = tensor.weight.read_rows(0, tensor.weight.rows)
        return as_float32(rows).reshape(tensor.weight.shape)
    return None if tensor is None else np.asarray(tensor.numpy())


def _fed(value: ir.Value, tokens: Text) -> Array:
    """A graph's input ``[1, tokens]``: a whole text from its beginning, without padding."""
    count = len(tokens)
    fed = {
        INPUT_IDS: np.asarray(tokens, np.int64),
        ATTENTION_MASK: np.ones(count, np.int64),
        POSITION_IDS: np.arange(count, dtype=np.int64),
    }
    return fed[str(value.name)][None]
