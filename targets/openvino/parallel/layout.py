"""The files of several ranks: an IR for each in its own folder, everything else once."""

from __future__ import annotations

from collections.abc import Sequence

from convert.graph import notes
from targets.base import Layout, LayoutRequest, OutputFile
from targets.openvino.layout import companion_files, model_files
from targets.openvino.parallel import launch
from targets.ranks import description


def lay_out_ranks(requests: Sequence[LayoutRequest]) -> Layout:
    """Lay out ``rank-0/``, ``rank-1/``, ...; their description; launch.sh; and the companions."""
    folders = [description.rank_folder(rank) for rank in range(len(requests))]
    irs = [
        model_files(request, f"{folder}/openvino_model")
        for request, folder in zip(requests, folders, strict=True)
    ]
    described = description.describe([request.model for request in requests])
    files = [file for ir in irs for file in (ir.xml, ir.bin)]
    files.append(OutputFile.whole(description.NAME, described.to_json()))
    files.append(OutputFile.whole(launch.NAME, launch.launch_script(len(requests))))
    files += companion_files(requests[0])
    jobs = tuple(job for ir in irs for job in ir.jobs)
    said = dict.fromkeys(note for request in requests for note in notes(request.model))
    return Layout(tuple(files), jobs, (*said, _balance(described)))


def _balance(described: description.Description) -> str:
    """How the weights are spread, in bytes."""
    low, high = min(described.weight_bytes), max(described.weight_bytes)
    share = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return (
        f"{described.ranks} ranks store {share} bytes of weights each;"
        f" {described.bytes_stored_again:,} bytes of all that are copies (norms and biases, and"
        " what could not be cut)"
    )
