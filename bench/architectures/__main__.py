"""The table over all causal language model types of the installed transformers.

    python -m bench.architectures                       # all types, about 20 minutes
    python -m bench.architectures mpt falcon            # some types only
    python -m bench.architectures --failed --resume out/architectures.json   # those that failed
    python -m bench.architectures --released            # models as they were released, 40 minutes

Findings are kept in the file of ``--resume`` while they are made; types that it has are not tried
again unless they are named. ``--trace`` tries the named types in this process and shows the whole
traceback of what goes wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.architectures import kept
from bench.architectures.children import Limits, Trial, trials
from bench.architectures.findings import Finding
from bench.architectures.page import failures, page, summary
from bench.architectures.released_page import released_page
from bench.architectures.releases import releases
from bench.architectures.tried import tried_types

_KEPT = ("out/architectures.json", "out/released.json")
"""Of types, and of released models."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Try types out, and tell."""
    options = _parser().parse_args(arguments)
    _warm_up()
    known = sorted(_names(options.released))
    unknown = sorted(set(options.types) - set(known))
    if unknown:
        sys.exit(f"there is no {', '.join(unknown)} among the names to try")
    if options.trace:
        _in_this_process(options.types, options.released)
        return
    options.resume = options.resume or Path(_KEPT[options.released])
    findings = kept.read(options.resume)
    failed = [kind for kind, each in findings.items() if options.failed and each.reasons]
    asked = options.types or failed or [kind for kind in known if kind not in findings]
    trial, limits = _trial(options.released), Limits(options.seconds)
    for finding in trials(asked, options.jobs, trial, limits):
        findings[finding.kind] = finding
        kept.write(options.resume, findings)
        print(_line(finding), flush=True)
    whole = kept.by_name(findings.values())
    if options.released:
        if options.report:
            options.report.write_text(released_page(whole, releases(), kept.versions()))
        return
    if options.failures:
        options.failures.write_text(failures(whole))
    if options.report:
        options.report.write_text(page(whole, kept.versions()))
    if options.tried:
        options.tried.write_text(tried_types(whole, kept.versions()).as_json())
    print(summary(whole))


def _parser() -> argparse.ArgumentParser:
    usual = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=usual)
    parser.add_argument("types", nargs="*", metavar="TYPE", help="default: all that are not kept")
    parser.add_argument("--jobs", type=int, default=1, help="types at a time")
    parser.add_argument("--seconds", type=float, default=Limits.seconds, help="for a type, at most")
    parser.add_argument("--released", action="store_true", help="released models, not types")
    parser.add_argument("--resume", type=Path, help=f"default: {' or '.join(_KEPT)}")
    parser.add_argument("--failed", action="store_true", help="those with a reason, again")
    parser.add_argument("--failures", type=Path, help="write those with a reason there")
    parser.add_argument("--report", type=Path, help="write the page there")
    parser.add_argument("--tried", type=Path, help="write what `convert list` shows there")
    parser.add_argument("--trace", action="store_true", help="show tracebacks")
    return parser


def _names(released: bool) -> Iterable[str]:
    from convert.importing.skeleton import class_names

    return releases() if released else class_names()


def _trial(released: bool) -> Trial:
    from bench.architectures.release_trial import try_release
    from bench.architectures.trial import try_out

    return try_release if released else try_out


def _warm_up() -> None:
    """Import and start once what every trial needs; children are forked with it."""
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import openvino  # noqa: F401
    import torch

    torch.set_num_threads(1)
    import convert.importing.architecture  # noqa: F401
    import targets.onnx.run
    import targets.openvino.layout
    import targets.openvino.run  # noqa: F401
    from bench.architectures.small_configs import small_config
    from convert.importing.graphs import imported_graph
    from convert.importing.skeleton import skeleton

    raw = small_config("llama").to_dict()
    imported_graph(skeleton(raw))


def _in_this_process(kinds: Sequence[str], released: bool) -> None:
    from bench.architectures import trial

    def shown(error: BaseException) -> str:
        traceback.print_exception(error)
        return str(error)

    trial.reason_of = shown  # type: ignore[attr-defined]
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            found: list[Finding] = []
            _trial(released)(kind, Path(folder), found.append)
            print(_line(found[-1]), flush=True)


def _line(each: Finding) -> str:
    """A finding for a terminal."""
    said = [
        f"imported={'yes' if each.imported else 'no'}",
        f"ort={each.onnxruntime:.1e}" if each.onnxruntime is not None else "",
        f"ov={each.openvino:.1e}" if each.openvino is not None else "",
        f"sdpa={each.attention[0]}/{each.attention[1]} rope={each.rope[0]}/{each.rope[1]}",
        f"kl={each.int8_kl:.1e}" if each.int8_kl is not None else "",
        f"{each.seconds:.1f}s",
        *(f"{stage}: {why}" for stage, why in each.reasons.items()),
    ]
    said += [f"{to}: {plan};" for to, plan in each.plans.items()]
    return f"{each.kind:24} {' '.join(part for part in said if part)}"


if __name__ == "__main__":
    main()
