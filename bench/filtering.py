"""What localized filtering costs in OpenVINO, before fusion and in both fused forms.

    python -m bench.filtering --folder /dev/shm/tricast-bench --encodings bf16 int8 nf4_dq

Yuan's shape of hidden 2048, four layers, random weights. Before fusion the two convolutions are
convolutions, whose weights no encoding of a matrix fits: they stay bf16. The forms run in turn,
round after round; medians.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path

from bench.synthetic import SHAPES, build
from convert.architectures import architecture_of
from convert.benching import measure_speed_of
from convert.checkpoint import open_checkpoint
from convert.preparation import open_source
from convert.stream import write_layouts
from passes.base import Pass
from passes.encodings import encoding
from passes.kv_cache import StatefulCache
from passes.lfa_fusion import LfaFusion
from passes.quantize import Policy, Quantize
from targets.base import LayoutRequest
from targets.openvino.profile import FILTERING
from targets.openvino.target import OpenVinoTarget

SHAPE = "yuan-2b-4-layers"
FORMS: dict[str, tuple[Pass, ...]] = {
    "convolutions": (),
    "two products": (LfaFusion("pair"),),
    "one product": (LfaFusion("collapsed"),),
}
PROMPT_TOKENS, NEW_TOKENS = 64, 32


def convert(checkpoint: Path, out: Path, passes: Sequence[Pass], name: str) -> Path:
    """An artifact of the checkpoint in which the filter has the form that ``passes`` give it."""
    target, opened = OpenVinoTarget(), open_checkpoint(str(checkpoint))
    source = open_source(opened)
    model = architecture_of(opened.config).build(source.config, opened.weights)
    for rewrite in (*passes, StatefulCache()):
        rewrite(model)
    allowed = (name, encoding(name).family, "bf16", "f32")
    Quantize(Policy(name, "bf16", "bf16", (), allowed))(model)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    write_layouts([(out, target.lay_out(LayoutRequest(source, model, tokenizer=False)))])
    return out


def measured(artifact: Path, *, threads: int) -> tuple[float, float, float, float]:
    """Milliseconds of a next token, the filter's share of it, and the same of a prompt."""
    speed = measure_speed_of(
        OpenVinoTarget(),
        artifact,
        prompt_tokens=PROMPT_TOKENS,
        new_tokens=NEW_TOKENS,
        threads=threads,
        profile=True,
    )
    decode, prompt = speed.decode_by_kind, speed.prompt_by_kind
    return (
        speed.next_ms,
        decode[FILTERING] / sum(decode.values()),
        speed.first_ms,
        prompt[FILTERING] / sum(prompt.values()),
    )


def main() -> None:
    """Print a row for every form and encoding."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm/tricast-bench"))
    parser.add_argument("--encodings", nargs="+", default=["bf16", "int8", "nf4_dq"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    checkpoint = options.folder / SHAPE
    if not checkpoint.is_dir():
        build(SHAPES[SHAPE], checkpoint)
    print("| weights | filter | next token, ms | filter | prompt of 64, ms | filter |")
    print("|---|---|--:|--:|--:|--:|")
    for name in options.encodings:
        artifacts = {
            form: convert(checkpoint, options.folder / "filtering" / form, passes, name)
            for form, passes in FORMS.items()
        }
        rounds = [
            {
                form: measured(artifact, threads=options.threads)
                for form, artifact in artifacts.items()
            }
            for _ in range(options.rounds)
        ]
        for form in FORMS:
            figures = [
                statistics.median(column)
                for column in zip(*(one[form] for one in rounds), strict=True)
            ]
            decode, decode_share, prompt, prompt_share = figures
            print(
                f"| {name} | {form} | {decode:.2f} | {decode_share:.1%} | {prompt:.1f} "
                f"| {prompt_share:.1%} |",
                flush=True,
            )
    shutil.rmtree(options.folder / "filtering")


if __name__ == "__main__":
    main()
