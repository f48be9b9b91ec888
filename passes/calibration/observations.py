"""What calibration found: the largest magnitudes that static scales are made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated, TypeVar

import onnx_ir as ir
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from convert.errors import BrokenInputError
from passes.calibration.execution import run
from passes.calibration.held import Text
from passes.calibration.observers import (
    LargestHeads,
    LargestInputs,
    LargestWeights,
    Observer,
)
from passes.calibration.snapshots import Snapshots
from passes.calibration.steps import plan

Magnitude = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Layer = Annotated[int, Field(ge=0)]
Watchers = tuple[LargestInputs, LargestWeights, LargestHeads]
Key = TypeVar("Key")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Observations:
    """Largest magnitudes over some texts.

    Args:
        inputs: Of what goes into each linear layer, by the name of its weight. The head is one,
            also where it is tied to the embedding.
        weights: Of the weight of each linear layer, by its name.
        keys: Of the keys that each layer would cache (after rotation), by its number.
        values: The same of the values.
        text_sha256: Of the file that the texts were taken from; of their tokens, see
            `tokens_digest`, if they were taken from none.
        tokens: How many tokens the texts have.
        queries: As keys and values, of the queries before they are scaled.
    """

    inputs: Mapping[str, Magnitude]
    weights: Mapping[str, Magnitude]
    keys: Mapping[Layer, Magnitude]
    values: Mapping[Layer, Magnitude]
    text_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    tokens: Annotated[int, Field(ge=1)]
    queries: Mapping[Layer, Magnitude] = field(default_factory=dict)

    def to_json(self) -> str:
        """As a JSON object; numbers come back exactly."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Observations:
        """Read what `to_json` wrote.

        Raises:
            BrokenInputError: It is not that.
        """
        try:
            return _ADAPTER.validate_json(text)
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(map(str, fault["loc"])) or "the file"
            raise BrokenInputError(
                "these are no observations of a calibration",
                found=f"{place}: {fault['msg']}",
                remedy="remove the file; it is made again",
            ) from error


_ADAPTER = TypeAdapter(Observations)


def observe(
    model: ir.Model,
    texts: Sequence[Text],
    advance: Callable[[int], None] = lambda count: None,
    observers: Sequence[Observer] = (),
    text_sha256: str | None = None,
    snapshots: Snapshots | None = None,
    scratch: Path | None = None,
) -> Observations:
    """The largest magnitudes in ``model`` while it reads ``texts``.

    Args:
        model: The float graph of an architecture, without a cache.
        texts: Tokens of each text.
        advance: Told the bytes of weights that were just done with, `bytes_to_read` in all.
        observers: More of them, to watch in the same run.
        text_sha256: Of the file that the texts were taken from, if there is one.
        snapshots: Where an earlier run may have left off, and this one keeps how far it is.
        scratch: Folder with room for the values of many texts, see `execution.run`.

    Raises:
        TricastError: As `execution.run` does.
    """
    watching = watchers(model)
    run(model, texts, (*watching, *observers), advance, snapshots, scratch)
    return observed(model, watching, texts, text_sha256)


def watchers(model: ir.Model) -> Watchers:
    """What watches a run for `observed`."""
    return LargestInputs(), LargestWeights(), LargestHeads()


def observed(
    model: ir.Model, seen: Watchers, texts: Sequence[Text], text_sha256: str | None = None
) -> Observations:
    """What `watchers` have seen of ``model`` while it read ``texts``, in the order of the graph.

    Args:
        text_sha256: Of the file that the texts were taken from, if there is one.
    """
    inputs, weights, heads = seen
    names = list(dict.fromkeys(weight.name for weight in plan(model, logits=False).weights))
    return Observations(
        inputs=_in_order(inputs.largest, names),
        weights=_in_order(weights.largest, names),
        keys=_in_order(heads.keys, sorted(heads.keys)),
        values=_in_order(heads.values, sorted(heads.values)),
        queries=_in_order(heads.queries, sorted(heads.queries)),
        text_sha256=text_sha256 or tokens_digest(texts),
        tokens=sum(map(len, texts)),
    )


def _in_order(found: Mapping[Key, float], keys: Sequence[Key]) -> dict[Key, float]:
    """They come out of a snapshot in another order than they were seen in."""
    return {key: found[key] for key in keys if key in found}


def tokens_digest(texts: Sequence[Text]) -> str:
    """SHA-256 of the tokens of texts, and of where each text ends."""
    return sha256(json.dumps([list(map(int, text)) for text in texts]).encode()).hexdigest()
