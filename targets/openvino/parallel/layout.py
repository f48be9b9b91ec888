"""The files of several ranks: an IR for each in its own folder, everything else once."""

from __future__ import annotations

from collections.abc import Sequence

from convert.graph import notes
from targets.base import Layout, LayoutRequest, OutputFile
from targets.openvino.layout import companion_files, model_files
from targets.openvino.parallel import launch
from targets.ranks.description import describe
from targets.ranks.folders import DESCRIPTION, rank_folder


def lay_out_ranks(requests: Sequence[LayoutRequest]) -> Layout:
    """Lay out ``rank-0/``, ``rank-1/``, ...; their description; launch.sh; and the companions."""
    folders = [rank_folder(rank) for rank in range(len(requests))]
    irs = [
        model_files(request, f"{folder}/openvino_model")
        for request, folder in zip(requests, folders, strict=True)
    ]
    described = describe([request.model for request in requests])
    files = [file for ir in irs for file in (ir.xml, ir.bin)]
    files.append(OutputFile.whole(DESCRIPTION, described.to_json()))
    files.append(OutputFile.whole(launch.NAME, launch.launch_script(len(requests))))
    files += companion_files(requests[0])
    jobs = tuple(job for ir in irs for job in ir.jobs)
    said = dict.fromkeys(note for request in requests for note in notes(request.model))
    return Layout(tuple(files), jobs, (*said, described.balance()))
