"""Runs a graph over texts, node by node: every weight is read once, and none is held.

All texts go through a node before the next one runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial

import numpy as np
import onnx_ir as ir

from convert.errors import NonFiniteWeightError, UnsupportedError, UsageError
from convert.graph import LOGITS
from convert.parameter import Parameter
from convert.weights import Floats, Weight
from passes.calibration.held import Array, HeldValues, Text, constant
from passes.calibration.observers import Observer, largest_magnitude
from passes.calibration.operators import operator_of
from passes.calibration.products import ConvolutionProduct, LinearProduct, Product
from passes.calibration.reading import Block, Take, read_ahead, read_rows
from passes.calibration.snapshots import Arrays, Snapshots, below, within
from passes.calibration.steps import Step, plan

Advance = Callable[[int], None]
"""Told the bytes of weights that were just done with."""


Feed = Callable[[Step, Take], None]
"""Hands all rows of a step's weight over, in blocks. Several threads may hand over blocks at once,
in any order, unless an observer looks at weights.
"""


def run(
    model: ir.Model,
    texts: Sequence[Text],
    observers: Sequence[Observer] = (),
    advance: Advance = lambda count: None,
    snapshots: Snapshots | None = None,
) -> None:
    """Show observers what flows through ``model`` while it reads ``texts``.

    Peak memory is that of the hidden states of all texts and of a few blocks of weights,
    whatever the number of layers. Run again on the same machine, with the same numpy and as many
    threads of its BLAS library, everything is the same bit for bit.

    Args:
        model: The float graph of an architecture, without a cache.
        texts: Tokens; each text is a sequence of its own, without padding.
        snapshots: Where an earlier run may have left off, and this one keeps how far it is.

    Raises:
        UnsupportedError: The graph has an operator that is not known, or a cache.
        UsageError: There are no texts, an empty one, or a token that the model does not have.
        BrokenInputError: A weight's file is damaged.
        NonFiniteWeightError: The input of a layer is NaN or infinite.
    """
    Execution(model, texts, observers, logits=False).run(advance, snapshots)


def logits(model: ir.Model, texts: Sequence[Text]) -> list[Floats]:
    """Logits ``[tokens, vocab]`` of each text. Raises as `run` does."""
    execution = Execution(model, texts, (), logits=True)
    execution.run(lambda count: None)
    [output] = [value for value in model.graph.outputs if value.name == LOGITS]
    return [execution.held.get(output, text)[0] for text in range(len(texts))]


def bytes_to_read(model: ir.Model) -> int:
    """Bytes of all weights that `run` tells its ``advance`` of."""
    return sum(weight.nbytes for weight in plan(model, logits=False).weights)


class Execution:
    """A graph and the texts that it reads; see `run`."""

    def __init__(
        self,
        model: ir.Model,
        texts: Sequence[Text],
        observers: Sequence[Observer],
        *,
        logits: bool,
    ) -> None:
        if not texts or not all(len(text) for text in texts):
            raise UsageError("there is nothing to run the model on", expected="texts of tokens")
        self._plan = plan(model, logits=logits)
        for step in self._plan.steps:
            if step.weight is None:
                operator_of(step.node)  # what cannot be run is refused before anything is
        self._rests = self._plan.rests
        self._observers = observers
        self.done = 0
        """How many steps."""
        self.held = HeldValues(model, texts, self._plan.reads)

    def run(self, advance: Advance, snapshots: Snapshots | None = None) -> None:
        """Run all steps, reading their weights."""
        stored = snapshots.load() if snapshots else None
        if stored is not None:
            self.resume(stored)
            advance(sum(weight.nbytes for weight in self._plan.weights_of(0, self.done)))
        rest = partial(snapshots.offer, self.state) if snapshots else None
        with closing(read_ahead(self._plan.weights_of(self.done))) as blocks:
            self.run_fed(partial(_hand_over, blocks, advance), rest)

    def run_fed(self, feed: Feed, rest: Callable[[], None] | None = None) -> None:
        """Run all steps that are left, with weights that someone else reads.

        Args:
            feed: Hands them over.
            rest: Called where little is held, so that it is a good time to ask for `state`.
        """
        for step in self._plan.steps[self.done :]:
            self.before(step)
            if step.weight is not None:
                self._multiply(step, feed)
            else:
                self._compute(step)
            self.done += 1
            if self.done in self._rests:
                self.held.settle()
                if rest is not None:
                    rest()

    def state(self) -> Arrays:
        """What is held between two steps, for `resume`. Texts must not have branched."""
        arrays = {"done": np.array(self.done, np.int64), **below("held", self.held.to_arrays())}
        for number, observer in enumerate(self._observers):
            arrays |= below(f"observer.{number}", observer.to_arrays())
        return arrays

    def resume(self, arrays: Arrays) -> None:
        """Go on where another execution of the same graph, texts and observers was."""
        self.done = int(arrays["done"])
        for step in self._plan.steps[: self.done]:
            self._release(step)
        self.held.from_arrays(within("held", arrays))
        for number, observer in enumerate(self._observers):
            observer.from_arrays(within(f"observer.{number}", arrays))

    def before(self, step: Step) -> None:
        """Called before each step; texts may branch here."""

    def linear(self, weight: Weight, inputs: Sequence[Floats]) -> Product:
        """What multiplies the inputs of all texts with the weight of a linear layer."""
        return LinearProduct(weight, inputs)

    def function(self, step: Step, text: int) -> Callable[..., tuple[Array, ...]] | None:
        """What computes the step for one text; None for what computes it for the others."""
        return None

    def _multiply(self, step: Step, feed: Feed) -> None:
        """A linear layer or a convolution."""
        assert step.weight is not None
        name, product = step.weight.name, self._product(step)
        for observer in self._observers:
            observer.linear(name, product.tokens)
        self._release(step)
        if step.computes:
            product.prepare()

        def take(block: Block) -> None:
            for observer in self._observers:
                observer.weight(name, block.start, block.values)
            if step.computes:
                product.multiply(block)

        feed(step, take)
        if step.computes:
            self._put_products(step, product.outputs())

    def _product(self, step: Step) -> Product:
        node, weight = step.node, step.weight
        assert weight is not None and node.inputs[0] is not None
        if node.attributes:
            raise UnsupportedError(
                f"calibration cannot run a {node.op_type} with attributes",
                found=f"node {node.name!r}: {', '.join(sorted(node.attributes))}",
            )
        texts = self.held.texts(all_texts=step.by_text)
        inputs = [self.held.get(node.inputs[0], text) for text in texts]
        product: Product
        if node.op_type == "MatMul":
            product = self.linear(weight, inputs)
        else:
            product = ConvolutionProduct(weight, inputs)
        if not np.isfinite(largest_magnitude(product.tokens)):
            raise NonFiniteWeightError(
                f"the original's own input of {weight.name} is NaN or infinite in float32",
                expected="finite activations",
                remedy="check the checkpoint: a weight before it may be damaged",
            )
        return product

    def _put_products(self, step: Step, products: list[Floats]) -> None:
        if len(step.node.inputs) > 2 and step.node.inputs[2] is not None:
            bias = constant(step.node.inputs[2])
            assert bias is not None
            for product in products:
                np.add(product, bias[:, None, None], out=product)
        texts = self.held.texts(all_texts=step.by_text)
        self.held.put(step.node.outputs[0], dict(zip(texts, products, strict=True)))

    def _compute(self, step: Step) -> None:
        """Any other node."""
        function, fixed = _function_of(step.node)
        results: dict[int, tuple[Array, ...]] = {}
        ending = self.held.ending(step.inputs) if step.by_text else []
        for text in self.held.texts(all_texts=step.by_text):
            inputs = [
                found if value is None or found is not None else self.held.get(value, text)
                for value, found in zip(step.node.inputs, fixed, strict=True)
            ]
            if step.layer is not None:
                for observer in self._observers:
                    observer.attention(
                        step.layer, *(each[0] for each in inputs[:3] if each is not None)
                    )
            if step.computes:
                results[text] = (self.function(step, text) or function)(*inputs)
            del inputs
            self.held.drop(ending, text)
        self._release(step)
        for place, output in enumerate(step.node.outputs):
            self.held.put(output, {text: found[place] for text, found in results.items()})

    def _release(self, step: Step) -> None:
        for value in step.inputs:
            self.held.release(value)


def _hand_over(blocks: Iterator[Block], advance: Advance, step: Step, take: Take) -> None:
    """The blocks that come next are those of the step's weight."""
    for block in blocks:
        take(block)
        advance(block.nbytes)
        if block.is_last:
            break


def _function_of(node: ir.Node) -> tuple[Callable[..., tuple[Array, ...]], list[Array | None]]:
    """What computes a node, and those of its inputs that are the same for every text."""
    table = node.inputs[0].const_value if node.op_type == "Gather" and node.inputs[0] else None
    if isinstance(table, Parameter):
        return partial(_look_up, table.weight), [np.empty(0), None]
    fixed = [None if value is None else constant(value) for value in node.inputs]
    return operator_of(node), fixed


def _look_up(weight: Weight, _: Array, ids: Array) -> tuple[Array, ...]:
    """Rows of an embedding; the rest of it is never read."""
    if ids.size and not 0 <= ids.min() <= ids.max() < weight.rows:
        raise UsageError(
            f"a text has a token that {weight.name} has no row for",
            expected=f"numbers from 0 to {weight.rows - 1}",
            found=str(ids.max() if ids.min() >= 0 else ids.min()),
            remedy="use the tokenizer that belongs to the model",
        )
    return (read_rows(weight, ids),)
