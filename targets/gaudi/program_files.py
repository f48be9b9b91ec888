"""The static programs of an artifact, exported for its deployment or kept from another run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from convert.architectures.base import DecoderConfig
from targets.base import OutputFile
from targets.checkpoint_tensors import CheckpointTensors
from targets.gaudi.buckets import static_buckets
from targets.gaudi.options import GaudiOptions
from targets.gaudi.programs import ProgramRequest, TensorForm, static_programs
from targets.ranks.shard import Shard
from targets.remembering import remembered


def program_files(
    config: Mapping[str, Any],
    parsed: DecoderConfig,
    options: GaudiOptions,
    stored: CheckpointTensors,
    shard: Shard | None = None,
) -> tuple[OutputFile, ...]:
    """``decode.pt2`` and ``prefill-*.pt2``, unless the options leave them out.

    Args:
        config: config.json.
        parsed: The same, normalized.
        options: Of the deployment.
        stored: What the safetensors files hold.
        shard: The rank that the programs are of; None for the whole model.

    Raises:
        GraphCaptureError: A graph capture could not hold one.
        UnsupportedError: The model cannot be lowered.
    """
    if not options.graphs:
        return ()
    wanted = ProgramRequest(
        config=config,
        tensors={tensor.name: TensorForm(tensor.dtype, tensor.shape) for tensor in stored.tensors},
        batch=options.batch,
        context=options.context(parsed),
        buckets=static_buckets(options, parsed),
        largest_code=options.hardware.fp8_largest or ProgramRequest.largest_code,
        shard=shard,
    )
    described = json.dumps(wanted.to_json(), sort_keys=True)
    made = remembered(f"programs {described}", ("torch",), lambda: static_programs(wanted))
    return tuple(OutputFile.whole(name, data) for name, data in made.items())
