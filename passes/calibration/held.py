"""The intermediate values of a run over several texts, each dropped after its last use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.graph import ATTENTION_MASK, INPUT_IDS, POSITION_IDS
from convert.parameter import Parameter
from passes.calibration.reading import as_float32
from passes.calibration.snapshots import Arrays

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
    """

    def __init__(self, model: ir.Model, texts: Sequence[Text], reads: Counter[ir.Value]) -> None:
        lengths = [len(text) for text in texts]
        self._first_alike = [lengths.index(length) for length in lengths]
        self._reads = reads.copy()
        self._numbers = {value: number for number, value in enumerate(reads)}
        self._held: dict[ir.Value, dict[int, Array]] = {}
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
        return held[text] if text in held else held[self._first_alike[text]]

    def put(self, value: ir.Value, found: Mapping[int, Array]) -> None:
        """Hold a value, by text, if something will read it."""
        if self._reads[value]:
            self._held[value] = dict(found)

    def ending(self, values: Sequence[ir.Value]) -> list[ir.Value]:
        """Those of the values that are held for each text and that nothing else reads later."""
        everyone = len(self._first_alike)
        return [
            value
            for value, count in Counter(values).items()
            if self._reads[value] == count and len(self._held.get(value, ())) == everyone
        ]

    def drop(self, values: Sequence[ir.Value], text: int) -> None:
        """Drop values for one text, before the others are done with."""
        for value in values:
            del self._held[value][text]

    def settle(self) -> None:
        """Lay out in memory what is held as it will be when it comes from a snapshot: how sums are
        taken may depend on it.
        """
        for held in self._held.values():
            for text, array in held.items():
                held[text] = np.asarray(array, order="C")

    def to_arrays(self) -> Arrays:
        """All values that are held now, for `from_arrays`."""
        self.settle()
        return {
            f"{self._numbers[value]}.{text}": array
            for value, held in self._held.items()
            for text, array in held.items()
        }

    def from_arrays(self, arrays: Arrays) -> None:
        """Hold what another one did whose values were released as often as those of this one."""
        self._held.clear()
        values = {str(number): value for value, number in self._numbers.items()}
        for name, array in arrays.items():
            number, _, text = name.partition(".")
            self._held.setdefault(values[number], {})[int(text)] = array

    def release(self, value: ir.Value) -> None:
        """Count one use of a value as done."""
        self._reads[value] -= 1
        if not self._reads[value]:
            self._held.pop(value, None)


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
