"""The files of several ranks: each one's weights and programs in its folder, everything else once.

There is no checkpoints.json: what reads it slices whole weights itself, and would slice these
again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from convert.errors import UsageError
from convert.graph import notes
from targets.base import Layout, LayoutRequest, OutputFile, Placement, WriteJob
from targets.companions import generation_config, json_file, tokenizer_files
from targets.gaudi.checkpoint_tensors import checkpoint_tensors
from targets.gaudi.compressed_tensors import quantization_config
from targets.gaudi.layout import UNVERIFIED, check_inc
from targets.gaudi.memory import plan_memory
from targets.gaudi.options import GaudiOptions, parse_options
from targets.gaudi.program_files import program_files
from targets.gaudi.ranks_guide import ranks_guide
from targets.gaudi.settings import generation_settings, model_config
from targets.ranks.description import Description, describe
from targets.ranks.folders import DESCRIPTION, rank_folder
from targets.ranks.shard import Shard
from targets.safetensors_layout import MAX_SHARD_BYTES, lay_out_safetensors

_BY_PROGRAMS_ALONE = (
    "rank folders are for launchers that give every process its own part; optimum-habana, "
    "DeepSpeed and vLLM slice a whole checkpoint themselves: convert without tensor_parallel for "
    "them"
)


def options_for_ranks(options: GaudiOptions, ranks: int) -> GaudiOptions:
    """The deployment of so many ranks, a card each.

    Raises:
        UsageError: It names another number of cards.
    """
    if "cards" in options.model_fields_set and options.cards != ranks:
        raise UsageError(
            f"{ranks} ranks are for as many cards",
            expected=f"cards: {ranks}",
            found=f"cards: {options.cards}",
            remedy="leave out cards, or give tensor_parallel the same number",
        )
    return options.model_copy(update={"cards": ranks})


def lay_out_ranks(
    requests: Sequence[LayoutRequest], max_shard_bytes: int = MAX_SHARD_BYTES
) -> Layout:
    """Lay out ``rank-0/``, ``rank-1/``, ...; their description; and what they have in common.

    Args:
        requests: For each rank, in order.
        max_shard_bytes: Tensor bytes of one file at most.

    Raises:
        UnsupportedError: A graph, an encoding or the tokenizer cannot be expressed.
        UsageError: An option is wrong, or a scale needs a calibration that there was not.
    """
    first = requests[0]
    source = first.source
    options = options_for_ranks(parse_options(first.options), len(requests))
    config, quantization = model_config(source), quantization_config(first.model, options)
    _refuse_inc(options)
    check_inc(options, compressed=quantization is not None)
    settings = config if quantization is None else {**config, "quantization_config": quantization}
    described = describe([request.model for request in requests])
    generation = generation_settings(source, generation_config(source.folder), options)
    plan = plan_memory(source.config, first.model, options)
    files = [
        OutputFile.whole(DESCRIPTION, described.to_json()),
        json_file("config.json", settings),
        json_file("generation_config.json", generation),
        ranks_guide(source, options, plan),
    ]
    if first.tokenizer:
        files += tokenizer_files(source.folder)
    jobs: list[WriteJob] = []
    for request in requests:
        own = _rank(request, options, settings, max_shard_bytes)
        files += own.files
        jobs += own.jobs
    return Layout(tuple(files), tuple(jobs), tuple(_notes(requests, options, described)))


def _rank(
    request: LayoutRequest,
    options: GaudiOptions,
    settings: dict[str, object],
    max_shard_bytes: int,
) -> Layout:
    """The files of one rank, in its folder."""
    shard = Shard.of(request.model)
    stored = checkpoint_tensors(request.model, options, request.observations)
    weights = lay_out_safetensors(stored.tensors, max_shard_bytes)
    config = model_config(request.source)
    programs = program_files(config, request.source.config, options, stored, shard)
    files = (*weights.files, json_file("config.json", settings), *programs)
    folder = rank_folder(shard.rank)
    places = {
        name: Placement(f"{folder}/{place.file}", place.offset)
        for name, place in weights.placements.items()
    }
    own = tuple(replace(file, path=f"{folder}/{file.path}") for file in files)
    return Layout(own, stored.jobs(places))


def _refuse_inc(options: GaudiOptions) -> None:
    if options.inc:
        raise UsageError(
            "neural-compressor's measurements are for a whole checkpoint",
            found="inc: true with tensor_parallel",
            remedy="leave out inc, or tensor_parallel",
        )


def _notes(
    requests: Sequence[LayoutRequest], options: GaudiOptions, described: Description
) -> Iterator[str]:
    yield UNVERIFIED
    yield _BY_PROGRAMS_ALONE
    yield from dict.fromkeys(note for request in requests for note in notes(request.model))
    yield described.balance()
    shortened = options.shortened(requests[0].source.config)
    if shortened is not None:
        yield shortened
