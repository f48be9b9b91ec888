"""Runs a graph over texts, node by node: no weight is held, and every one is read once a batch.

All texts go through a node before the next one runs. If there are many, their values are on disk,
and each goes through all nodes up to the next weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx_ir as ir

from convert.errors import NonFiniteWeightError, UnsupportedError, UsageError
from convert.graph import LOGITS
from convert.parameter import Parameter
from convert.weights import Floats, Weight
from passes.calibration.held import Array, HeldValues, Text, constant
from passes.calibration.observers import Observer, largest_magnitude
from passes.calibration.operators import operator_of
from passes.calibration.products import ConvolutionProduct, Intake, LinearProduct, Product
from passes.calibration.reading import Block, Take, read_ahead, read_rows
from passes.calibration.snapshots import Arrays, Snapshots, below, joined, within
from passes.calibration.spill import Spill
from passes.calibration.steps import Step, plan

Advance = Callable[[int], None]
"""Told the bytes of weights that were just done with."""

BATCH_TOKENS = 2048
"""Texts are multiplied with a weight together, up to so many tokens, but for a longer text. Sums
depend on it, so it is the same whether values are on disk or not."""

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
    scratch: Path | None = None,
) -> None:
    """Show observers what flows through ``model`` while it reads ``texts``.

    Peak memory is that of the values of one batch of texts within a layer, and of a few blocks of
    weights, whatever the number of layers and texts. Run again on the same machine, with the same
    numpy and as many threads of its BLAS library, everything is the same bit for bit.

    Args:
        model: The float graph of an architecture, without a cache.
        texts: Tokens; each text is a sequence of its own, without padding.
        snapshots: Where an earlier run may have left off, and this one keeps how far it is.
        scratch: Folder with room for values of more than one batch; without it they are all in
            memory.

    Raises:
        UnsupportedError: The graph has an operator that is not known, or a cache.
        UsageError: There are no texts, an empty one, or a token that the model does not have.
        BrokenInputError: A weight's file is damaged.
        NonFiniteWeightError: The input of a layer is NaN or infinite.
        OSError: The disk of ``scratch`` is full.
    """
    with room_for(texts, scratch) as spill:
        execution = Execution(
            model, texts, observers, logits=False, batch_tokens=BATCH_TOKENS, spill=spill
        )
        execution.run(advance, snapshots)


@contextmanager
def room_for(texts: Sequence[Text], scratch: Path | None) -> Iterator[Spill | None]:
    """Room on disk for the values of texts, if they are more than a batch."""
    if scratch is None or len(batches(texts, BATCH_TOKENS)) == 1:
        yield None
        return
    spill = Spill(scratch)
    try:
        yield spill
    finally:
        spill.close()


def batches(texts: Sequence[Text], most: int | None) -> list[range]:
    """Numbers of texts that together have at most so many tokens, or of one longer text."""
    starts, tokens = [0], 0
    for number, text in enumerate(texts):
        if most is not None and number > starts[-1] and tokens + len(text) > most:
            starts.append(number)
            tokens = 0
        tokens += len(text)
    return [range(*pair) for pair in pairwise([*starts, len(texts)])]


def logits(model: ir.Model, texts: Sequence[Text]) -> list[Floats]:
    """Logits ``[tokens, vocab]`` of each text. Raises as `run` does."""
    execution = Execution(model, texts, (), logits=True)
    execution.run(lambda count: None)
    [output] = [value for value in model.graph.outputs if value.name == LOGITS]
    return [execution.held.get(output, text)[0] for text in range(len(texts))]


def bytes_to_read(model: ir.Model) -> int:
    """Bytes of all weights that `run` tells its ``advance`` of, however often it reads them."""
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
        batch_tokens: int | None = None,
        spill: Spill | None = None,
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
        self.held = HeldValues(model, texts, self._plan.reads, spill)
        self._batches = batches(texts, batch_tokens)
        self._in_stretches = batch_tokens is not None

    def run(self, advance: Advance, snapshots: Snapshots | None = None) -> None:
        """Run all steps, reading their weights."""
        stored = snapshots.load() if snapshots else None
        if stored is not None:
            self.resume(stored)
            advance(sum(weight.nbytes for weight in self._plan.weights_of(0, self.done)))
        rest = partial(snapshots.offer, self.state) if snapshots else None
        weights = [
            step.weight
            for step in self._plan.steps[self.done :]
            if step.weight is not None
            for _ in range(self._feeds(step))
        ]
        with closing(read_ahead(weights)) as blocks:
            self.run_fed(_HandingOver(blocks, advance, self._feeds), rest)

    def run_fed(self, feed: Feed, rest: Callable[[], None] | None = None) -> None:
        """Run all steps that are left, with weights that someone else reads.

        Args:
            feed: Hands them over.
            rest: Called where little is held, so that it is a good time to ask for `state`.
        """
        while self.done < len(self._plan.steps):
            steps = self._next()
            for step in steps:
                self.before(step)
            if steps[0].weight is not None:
                self._multiply(steps[0], feed)
            else:
                self._compute(steps)
            self.done += len(steps)
            if self.done in self._rests:
                self.held.settle()
                if rest is not None:
                    rest()

    def _next(self) -> tuple[Step, ...]:
        """A step, or several that each text goes through before the next text does."""
        last = self.done + 1
        steps = self._plan.steps
        if self._in_stretches and steps[self.done].weight is None:
            while last < len(steps) and steps[last].weight is None and last not in self._rests:
                last += 1
        return steps[self.done : last]

    def _batches_of(self, step: Step) -> Sequence[Sequence[int]]:
        texts = self.held.texts(all_texts=step.by_text)
        return self._batches if len(self._batches) > 1 and step.by_text else [texts]

    def _feeds(self, step: Step) -> int:
        """How often the rows of a step's weight are needed."""
        return len(self._batches_of(step)) if step.computes else 1

    def state(self) -> Arrays:
        """What is held between two steps, for `resume`. Texts must not have branched."""
        seen = [
            below(f"observer.{number}", observer.to_arrays())
            for number, observer in enumerate(self._observers)
        ]
        done = {"done": np.array(self.done, np.int64)}
        return joined(done, below("held", self.held.to_arrays()), *seen)

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
        name, groups = step.weight.name, self._batches_of(step)
        [ending] = self.held.ending([step])
        product = None
        for texts in groups:
            product = None
            product = self._product(step, texts)
            for observer in self._observers:
                observer.linear(name, product.tokens)
        for number, texts in enumerate(groups if step.computes else groups[:1]):
            if len(groups) > 1 and step.computes:
                product = None
                product = self._product(step, texts)
            assert product is not None
            for text in texts:
                self.held.drop(ending, text)
            watching = self._observers if number == 0 else ()
            self._multiply_batch(step, texts, product, watching, feed)
        self._release(step)

    def _multiply_batch(
        self,
        step: Step,
        texts: Sequence[int],
        product: Product,
        watching: Sequence[Observer],
        feed: Feed,
    ) -> None:
        if step.computes:
            product.prepare()

        looking = [one for one in watching if type(one).weight is not Observer.weight]
        feed(step, Intake(product if step.computes else None, looking))
        if step.computes:
            self._put_products(step, texts, product.outputs())

    def _product(self, step: Step, texts: Sequence[int]) -> Product:
        node, weight = step.node, step.weight
        assert weight is not None and node.inputs[0] is not None
        if node.attributes:
            raise UnsupportedError(
                f"calibration cannot run a {node.op_type} with attributes",
                found=f"node {node.name!r}: {', '.join(sorted(node.attributes))}",
            )
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

    def _put_products(self, step: Step, texts: Sequence[int], products: list[Floats]) -> None:
        if len(step.node.inputs) > 2 and step.node.inputs[2] is not None:
            bias = constant(step.node.inputs[2])
            assert bias is not None
            for product in products:
                np.add(product, bias[:, None, None], out=product)
        self.held.put(step.node.outputs[0], dict(zip(texts, products, strict=True)))
        if self._in_stretches:
            for text in texts:
                self.held.put_away(text)

    def _compute(self, steps: Sequence[Step]) -> None:
        """Other nodes, one text after the other."""
        todo = list(
            zip(
                steps,
                [_function_of(step.node) for step in steps],
                self.held.ending(steps),
                strict=True,
            )
        )
        firsts = set(self.held.texts(all_texts=False))
        for text in self.held.texts(all_texts=True):
            for step, (function, fixed), ending in todo:
                if step.by_text or text in firsts:
                    self._compute_for(step, text, function, fixed)
                self.held.drop(ending, text)
            if self._in_stretches:
                self.held.put_away(text)
        for step in steps:
            self._release(step)

    def _compute_for(
        self,
        step: Step,
        text: int,
        function: Callable[..., tuple[Array, ...]],
        fixed: list[Array | None],
    ) -> None:
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
            results = (self.function(step, text) or function)(*inputs)
            for output, result in zip(step.node.outputs, results, strict=False):
                self.held.put(output, {text: result})

    def _release(self, step: Step) -> None:
        for value in step.inputs:
            self.held.release(value)


class _HandingOver:
    """Hands over blocks that come in the order in which steps need them."""

    def __init__(
        self, blocks: Iterator[Block], advance: Advance, feeds: Callable[[Step], int]
    ) -> None:
        self._blocks, self._advance, self._feeds = blocks, advance, feeds
        self._done = 0
        """How often the present step was fed."""

    def __call__(self, step: Step, take: Take) -> None:
        count = self._feeds(step)
        for block in self._blocks:
            take(block)
            before, after = (block.nbytes * done // count for done in (self._done, self._done + 1))
            self._advance(after - before)
            if block.is_last:
                break
        self._done = (self._done + 1) % count


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
