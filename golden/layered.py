"""The original run layer by layer: for a model that does not fit into memory in float32.

The model is transformers' own, without weights. Its forward pass is run with stand-ins for the
decoder layers, which note what each is called with (masks and rotary angles do not depend on
what layers compute); then each layer in turn gets its weights and is run on all prompts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.checkpoint import open_checkpoint
from convert.errors import TensorMismatchError, UnsupportedArchitectureError
from convert.importing.expert_parts import part_pattern
from convert.weights import FloatType, Weight
from golden import memory, reference
from golden.places import joined, names_of, stored_names

READ_BYTES = 32 << 30
"""Of weights that may be read for a continuation, each token of which reads the whole model."""

HEAD_BYTES = 256 << 20
"""Of the rows of the head that are held at a time, and of the logits that are."""


@dataclass
class Passage:
    """Sequences on their way through the model.

    Args:
        ids: Their tokens, ``[B, S]``.
        hidden: What comes next into a layer, ``[B, S, hidden]``.
        calls: What else each layer is called with: positional and named arguments.
    """

    ids: Any
    hidden: Any = None
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)


class LayeredReference(reference.Reference):
    """A model of which one decoder layer at a time is in memory.

    Args:
        model: Without weights, on torch's meta device.
        weights: By their names in the checkpoint, which are the model's.
    """

    def __init__(self, model: Any, weights: Mapping[str, Weight]) -> None:
        super().__init__(model)
        self._weights = weights
        self._experts = names_of([type(model).__name__])
        self._names = {id(module): name for name, module in model.named_modules()}
        self._layers = _decoder_layers(model)
        self._embedding, self._head = model.get_input_embeddings(), model.get_output_embeddings()
        self._tuple_of = 0
        """Values that a layer returns, the hidden states first; 0 if it returns these alone."""
        _give_buffers(model)
        elsewhere = {id(part) for layer in self._layers for part in layer.modules()}
        elsewhere |= {id(self._embedding), id(self._head)}
        for module in model.modules():
            if id(module) not in elsewhere:
                self._fill(module)
        self._embedding.forward = self._look_up

    @property
    def cached(self) -> bool:
        return False

    def all_logits(self, prompts: Sequence[Sequence[int]]) -> Iterator[NDArray[np.float32]]:
        import torch

        for logits in self._run([torch.tensor([list(ids)]) for ids in prompts]):
            yield reference.finite(logits[0].to(torch.float32).numpy())

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        return next(self.all_logits([ids]))

    def last_logits(self, drawn: Any, cache: Mapping[str, Any]) -> Any:
        return next(self._run([drawn]))[:, -1]

    def continuation(self, ids: Sequence[int], count: int) -> tuple[int, ...] | None:
        held = sum(weight.nbytes for weight in self._weights.values())
        return super().continuation(ids, count) if count * held <= READ_BYTES else None

    def _run(self, batches: Sequence[Any]) -> Iterator[Any]:
        """Logits ``[B, S, vocab]`` of each batch ``[B, S]`` of tokens."""
        passages = [Passage(ids) for ids in batches]
        self._begin(passages)
        for number, layer in enumerate(self._layers):
            with self._present(layer):
                for passage in passages:
                    positional, named = passage.calls[number]
                    result = _called(layer, passage.hidden, positional, named)
                    passage.hidden = result[0] if self._tuple_of else result
        for group in self._groups(passages):
            yield from self._end(group)

    def _begin(self, passages: Sequence[Passage]) -> None:
        """Find out what each layer is called with."""
        self._tuple_of = self._probe(passages[0])
        for passage in passages:

            def noted(hidden: Any, *positional: Any, **named: Any) -> Any:
                if not passage.calls:  # noqa: B023 -- called before the loop goes on
                    passage.hidden = hidden  # noqa: B023
                passage.calls.append((positional, named))  # noqa: B023
                return self._returned(hidden)

            with self._instead(self._layers, noted), self._instead([self._head], _pass_on):
                self._forward(passage)

    def _probe(self, passage: Passage) -> int:
        """How many values a layer returns as a tuple; 0 if it returns no tuple."""
        first = self._layers[0]
        with self._instead([first], _reach):
            try:
                self._forward(passage)
            except _ReachedError as reached:
                call = reached
        with self._present(first):
            result = _called(first, call.hidden, call.positional, call.named)
        return len(result) if isinstance(result, tuple) else 0

    def _end(self, group: Sequence[Passage]) -> Iterator[Any]:
        """What the model makes of the last layer's outputs."""
        import torch

        inputs = []
        for passage in group:
            with self._ended(passage), self._instead([self._head], _reach):
                try:
                    self._forward(passage)
                except _ReachedError as reached:
                    inputs.append(reached.hidden)
        rows = self._weight(self._head, "weight").rows
        found = [torch.empty(*each.shape[:-1], rows) for each in inputs]
        for start, stop, matrix, bias in self._head_rows():
            with torch.inference_mode():
                for hidden, logits in zip(inputs, found, strict=True):
                    logits[..., start:stop] = torch.nn.functional.linear(hidden, matrix, bias)
        for passage, logits in zip(group, found, strict=True):
            given = lambda _, logits=logits: logits  # noqa: E731
            with self._ended(passage), self._instead([self._head], given):
                yield self._forward(passage).logits

    def _ended(self, passage: Passage) -> Any:
        """Layers that all return what the last one did."""
        returned = self._returned(passage.hidden)
        return self._instead(self._layers, lambda hidden, *_, **__: returned)

    def _returned(self, hidden: Any) -> Any:
        return (hidden, *[None] * (self._tuple_of - 1)) if self._tuple_of else hidden

    def _forward(self, passage: Passage) -> Any:
        import torch

        with torch.inference_mode():
            return self.model(input_ids=passage.ids, use_cache=False)

    def _groups(self, passages: Sequence[Passage]) -> Iterator[list[Passage]]:
        """Passages whose logits are held together, so that the head is read once for all."""
        group: list[Passage] = []
        for passage in passages:
            if sum(each.ids.numel() for each in [*group, passage]) * self.vocab * 4 > HEAD_BYTES:
                if group:
                    yield group
                group = []
            group.append(passage)
        yield group

    def _head_rows(self) -> Iterator[tuple[int, int, Any, Any]]:
        """Some rows of the head's matrix, and of its bias if it has one, one block at a time."""
        weight = self._weight(self._head, "weight")
        bias = getattr(self._head, "bias", None)
        whole_bias = None if bias is None else _tensor(self._weight(self._head, "bias"))
        step = max(1, HEAD_BYTES // (4 * weight.columns) // 64 * 64)
        for start in range(0, weight.rows, step):
            stop = min(start + step, weight.rows)
            part = None if whole_bias is None else whole_bias[start:stop]
            yield start, stop, _rows(weight, start, stop), part

    def _look_up(self, ids: Any) -> Any:
        """The rows of the embedding that are asked for; no other is read."""
        import torch

        weight = self._weight(self._embedding, "weight")
        distinct, places = torch.unique(ids, return_inverse=True)
        rows = [_rows(weight, number, number + 1) for number in distinct.tolist()]
        return torch.nn.functional.embedding(places, torch.cat(rows))

    @contextmanager
    def _present(self, layer: Any) -> Iterator[None]:
        """A layer with its weights."""
        for module in layer.modules():
            self._fill(module)
        try:
            yield
        finally:
            layer.to("meta")

    def _fill(self, module: Any) -> None:
        """Give a module its own weights."""
        import torch

        for leaf, parameter in module.named_parameters(recurse=False):
            values = _tensor(self._weight(module, leaf)).reshape(parameter.shape)
            setattr(module, leaf, torch.nn.Parameter(values, requires_grad=False))
        for leaf in _stored_buffers(module):
            module.register_buffer(leaf, _tensor(self._weight(module, leaf)))

    def _weight(self, module: Any, leaf: str) -> Weight:
        """That of a parameter; of a tied head, which is not stored, that of the embedding.

        Raises:
            TensorMismatchError: There is none, or it has another shape.
        """
        name = f"{self._names[id(module)]}.{leaf}"
        tied = module is self._head and self.model.config.tie_word_embeddings
        if tied and name not in self._weights:
            return self._weight(self._embedding, leaf)
        shape = tuple(getattr(module, leaf).shape)
        names = stored_names(name, shape[0], self._experts)
        pattern = part_pattern(name)
        if name not in self._weights and pattern.format(0) in self._weights:
            names = [pattern.format(number) for number in range(shape[0])]
        parts = [self._weights[each] for each in names if each in self._weights]
        found = joined(parts, name, shape) if len(parts) == len(names) else None
        if found is None or not _holds(found, shape):
            raise TensorMismatchError(
                f"the weight {name} is missing or has another shape",
                expected=str(list(shape)),
                found="none" if found is None else str(list(found.shape)),
            )
        return found

    @contextmanager
    def _instead(self, modules: Sequence[Any], forward: Callable[..., Any]) -> Iterator[None]:
        """Modules that compute something else."""
        for module in modules:
            module.forward = forward
        try:
            yield
        finally:
            for module in modules:
                del module.forward


def load(folder: Path, threads: int, adapters: Sequence[Path] = ()) -> LayeredReference:
    """The model in ``folder``, of which no more than a layer will be in memory.

    Args:
        adapters: Folders of LoRA adapters, merged into the model in this order.

    Raises:
        OutOfMemoryError: Not even its largest layer fits.
        UnsupportedArchitectureError: The model is not made of layers as all known ones are.
        TricastError: As `reference.load` does.
    """
    model = reference.without_weights(folder, threads)
    largest = max(_parameters(layer) for layer in _decoder_layers(model))
    memory.require(4 * largest + 2 * HEAD_BYTES + memory.OVERHEAD)
    return LayeredReference(model.eval(), open_checkpoint(str(folder), adapters=adapters).weights)


class _ReachedError(Exception):
    """Ends a forward pass at a module, which was called with this."""

    def __init__(self, hidden: Any, *positional: Any, **named: Any) -> None:
        super().__init__()
        self.hidden, self.positional, self.named = hidden, positional, named


def _reach(hidden: Any, *positional: Any, **named: Any) -> Any:
    raise _ReachedError(hidden, *positional, **named)


def _pass_on(hidden: Any) -> Any:
    return hidden


def _called(layer: Any, hidden: Any, positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
    import torch

    with torch.inference_mode():
        return type(layer).forward(layer, hidden, *positional, **named)


def _decoder_layers(model: Any) -> list[Any]:
    """The list of modules that holds the most."""
    from torch import nn

    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise _not_layered(model, "it has no list of layers")
    return list(max(lists, key=_parameters))


def _give_buffers(model: Any) -> None:
    """Make what modules compute from the config alone: rotary frequencies."""
    for name, module in list(model.named_modules()):
        buffers, stored = module.named_buffers(recurse=False), _stored_buffers(module)
        if not any(buffer.is_meta for leaf, buffer in buffers if leaf not in stored):
            continue
        try:
            made = type(module)(config=model.config)
        except TypeError as error:
            raise _not_layered(model, f"{name} holds more than weights") from error
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, made)


def _stored_buffers(module: Any) -> list[str]:
    """Names of a module's own buffers that a checkpoint has."""
    computed = module._non_persistent_buffers_set
    return [leaf for leaf, _ in module.named_buffers(recurse=False) if leaf not in computed]


def _not_layered(model: Any, reason: str) -> UnsupportedArchitectureError:
    return UnsupportedArchitectureError(
        f"{type(model).__name__} does not fit into memory, and cannot be run layer by layer",
        found=reason,
        remedy="give a recording made on a larger machine with --golden FILE, or --no-gate",
    )


def _parameters(module: Any) -> int:
    return sum(int(parameter.numel()) for parameter in module.parameters())


def _holds(weight: Weight, shape: tuple[int, ...]) -> bool:
    """Whether it has this shape, or has several matrices as one, or several vectors as one."""
    rows = (math.prod(shape[:-1]), *shape[-1:])
    whole = weight.shape == shape or (len(shape) == 3 and weight.shape == rows)
    return whole or (len(shape) == 2 and weight.shape == (math.prod(shape),))


def _tensor(weight: Weight) -> Any:
    return _rows(weight, 0, weight.rows).reshape(weight.shape)


def _rows(weight: Weight, start: int, stop: int) -> Any:
    """float32 ``[stop - start, columns]``, converted by torch."""
    import torch

    rows = weight.read_rows(start, stop)
    if weight.dtype is FloatType.BF16:
        return torch.from_numpy(rows.view(np.uint16)).view(torch.bfloat16).float()
    return torch.from_numpy(np.ascontiguousarray(rows)).float()
