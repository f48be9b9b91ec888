"""Runs of a graph in which texts branch off: some go on with weights that are stored otherwise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.errors import UnsupportedError
from convert.graph import LOGITS, Role, roles
from convert.parameter import Parameter
from convert.weights import Floats, Weight
from passes.calibration.divergence import Divergences
from passes.calibration.execution import Advance, Execution
from passes.calibration.held import Array, Text
from passes.calibration.observers import Observer
from passes.calibration.products import LinearProduct, Product
from passes.calibration.reading import Block, as_float32
from passes.calibration.steps import Step
from passes.encodings.base import ROW_ALIGNMENT, Encoding
from passes.encodings.weighting import WeightableEncoding


@dataclass(frozen=True)
class Variation:
    """A model some of whose weights are stored otherwise.

    Args:
        encodings: How, by name of the weight.
        texts: Numbers of the texts that it reads.
    """

    encodings: Mapping[str, Encoding]
    texts: tuple[int, ...]


def run_branched(
    model: ir.Model,
    texts: Sequence[Text],
    variations: Sequence[Variation],
    *,
    weighting: Sequence[int],
    observers: Sequence[Observer] = (),
    advance: Advance = lambda count: None,
) -> list[NDArray[np.float64]]:
    """How far the logits of each variation are from those of the float model.

    Every weight is read once. A variation is computed from the first layer on where it differs.
    Encodings that can be weighted are, with the second moments of the float model's inputs, but
    for embeddings, as in an artifact.

    Args:
        model: The float graph of an architecture, without a cache.
        texts: Tokens; each text is a sequence of its own, without padding.
        variations: Those that read the texts, too.
        weighting: Numbers of the texts whose second moments weight encodings.
        observers: Shown what the float model does.
        advance: Told the bytes of weights that were just done with.

    Returns:
        For each variation the KL divergence at each token, in nats; 0 where nothing that is read
        differs.

    Raises:
        UnsupportedError: The graph has no head that gives the logits.
        TricastError: As `execution.run` does.
    """
    execution = _BranchedExecution(model, texts, variations, weighting, observers)
    execution.run(advance)
    return execution.divergences()


def weighted(encoding: Encoding, role: Role, moments: NDArray[np.float64]) -> Encoding:
    """The encoding as it will be for a weight whose inputs have these second moments."""
    if role is Role.EMBEDDING or not isinstance(encoding, WeightableEncoding):
        return encoding
    return encoding.weighted(moments)


def decoded(encoding: Encoding, rows: Floats) -> Floats:
    """What an encoding makes of rows ``[n, columns]``."""
    return encoding.decode(encoding.encode(rows), *rows.shape)


class BranchedProduct(Product):
    """A product in which texts differ in how the weight is stored.

    Args:
        weight: As the float model has it.
        inputs: Of the texts.
        encodings: Of the weight, for each text; None where it is as it is.
        plain: How many texts, the first ones, the float model reads.
    """

    def __init__(
        self,
        weight: Weight,
        inputs: Sequence[Floats],
        encodings: Sequence[Encoding | None],
        plain: int,
    ) -> None:
        alike: dict[str | None, list[int]] = {}
        for text, encoding in enumerate(encodings):
            alike.setdefault(encoding.name if encoding else None, []).append(text)
        self._parts = [
            (encodings[texts[0]], texts, LinearProduct(weight, [inputs[text] for text in texts]))
            for texts in alike.values()
        ]
        tokens = sum(each.size for each in inputs[:plain]) // weight.columns
        self.tokens = self._parts[0][2].tokens[:tokens]

    def prepare(self) -> None:
        for _, _, product in self._parts:
            product.prepare()

    def multiply(self, block: Block) -> None:
        for encoding, _, product in self._parts:
            rows = block.values if encoding is None else decoded(encoding, block.values)
            product.multiply(Block(block.weight, block.start, block.stop, rows))

    def outputs(self) -> list[Floats]:
        found: dict[int, Floats] = {}
        for _, texts, product in self._parts:
            found.update(zip(texts, product.outputs(), strict=True))
        return [found[text] for text in sorted(found)]


class _BranchedExecution(Execution):
    def __init__(
        self,
        model: ir.Model,
        texts: Sequence[Text],
        variations: Sequence[Variation],
        weighting: Sequence[int],
        observers: Sequence[Observer],
    ) -> None:
        super().__init__(model, texts, (*observers, _HeadRows(self)), logits=False)
        self._roles = roles(model)
        self._variations, self._weighting = variations, weighting
        self._waiting: dict[str, list[int]] = defaultdict(list)
        for number, variation in enumerate(variations):
            for name in variation.encodings:
                self._waiting[name].append(number)
        self._texts = len(texts)
        self._branches: list[tuple[int, int]] = []  # of each further text: variation and origin
        self._stored: dict[str, Encoding] = {}  # of the present weight, by the name that was asked
        self._at_head = False
        self._head: Divergences | None = None

    def divergences(self) -> list[NDArray[np.float64]]:
        if self._head is None:
            raise UnsupportedError("the graph has no linear layer whose outputs are the logits")
        found: list[list[NDArray[np.float64]]] = [[] for _ in self._variations]
        for branch, (number, _) in enumerate(self._branches, self._texts):
            found[number].append(self._head.of(branch))
        return [np.concatenate(parts) if parts else np.zeros(1) for parts in found]

    def before(self, step: Step) -> None:
        self._stored.clear()
        self._at_head = step.node.outputs[0].name == LOGITS
        weight = step.weight or _looked_up(step.node)
        begun = {number for number, _ in self._branches}
        for number in self._waiting.get(weight.name, ()) if weight is not None else ():
            if number not in begun:
                for text in self._variations[number].texts:
                    self.held.branch(text)
                    self._branches.append((number, text))

    def linear(self, weight: Weight, inputs: Sequence[Floats]) -> Product:
        flat = [each.reshape(-1, each.shape[-1]) for each in inputs]
        moments = second_moments([flat[text] for text in self._weighting])
        role = self._roles[weight.name]
        for number, _ in self._branches:
            asked = self._variations[number].encodings.get(weight.name)
            if asked is not None and asked.name not in self._stored:
                self._stored[asked.name] = weighted(asked, role, moments)
        if self._at_head:
            origins = {self._texts + i: text for i, (_, text) in enumerate(self._branches)}
            self._head = Divergences(flat, origins)
        encodings = [self._encoding(weight.name, text) for text in range(len(inputs))]
        return BranchedProduct(weight, inputs, encodings, self._texts)

    def function(self, step: Step, text: int) -> Callable[..., tuple[Array, ...]] | None:
        weight = _looked_up(step.node)
        if weight is None or text < self._texts:
            return None
        number, _ = self._branches[text - self._texts]
        encoding = self._variations[number].encodings.get(weight.name)
        return None if encoding is None else partial(_decoded_rows, weight, encoding)

    def see_head(self, name: str, rows: Floats) -> None:
        """Rows of a weight, if it is the head."""
        if not self._at_head or self._head is None:
            return
        known: dict[str, Floats] = {}

        def rows_of(branch: int) -> Floats | None:
            encoding = self._encoding(name, branch)
            if encoding is not None and encoding.name not in known:
                known[encoding.name] = decoded(encoding, rows)
            return None if encoding is None else known[encoding.name]

        self._head.add(rows, rows_of)

    def _encoding(self, name: str, text: int) -> Encoding | None:
        """How a text has the present weight, if not as the float model does."""
        if text < self._texts:
            return None
        asked = self._variations[self._branches[text - self._texts][0]].encodings.get(name)
        return None if asked is None else self._stored[asked.name]


class _HeadRows(Observer):
    """The head's outputs are not kept, as there are too many; so its rows are watched."""

    def __init__(self, execution: _BranchedExecution) -> None:
        self._execution = execution

    def weight(self, name: str, start: int, rows: Floats) -> None:
        self._execution.see_head(name, rows)


def second_moments(inputs: Sequence[Floats]) -> NDArray[np.float64]:
    """Sums of squares of each column of some inputs ``[tokens, features]``."""
    sums = [np.einsum("tf,tf->f", each, each, dtype=np.float64) for each in inputs]
    total: NDArray[np.float64] = np.sum(sums, axis=0)
    return total


def _looked_up(node: ir.Node) -> Weight | None:
    """The matrix whose rows a node looks up, if it is a parameter."""
    table = node.inputs[0].const_value if node.op_type == "Gather" and node.inputs[0] else None
    return table.weight if isinstance(table, Parameter) else None


def _decoded_rows(weight: Weight, encoding: Encoding, _: Array | None, ids: Array) -> tuple[Floats]:
    """Rows of a table as an encoding has them, with the rows that share planes with them."""
    found = np.empty((ids.size, weight.columns), np.float32)
    flat = ids.reshape(-1)
    for first in np.unique(flat // ROW_ALIGNMENT * ROW_ALIGNMENT):
        rows = weight.read_rows(int(first), int(min(first + ROW_ALIGNMENT, weight.rows)))
        values = decoded(encoding, as_float32(rows))
        inside = (flat >= first) & (flat < first + ROW_ALIGNMENT)
        found[inside] = values[flat[inside] - first]
    return (found.reshape(*ids.shape, weight.columns),)
