"""Pages written while a run goes on, one for each artifact as soon as it is judged.

An artifact that is not checked gets its data alone: there is little to show, and who skips the gate
is in a hurry.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convert.architectures.base import DecoderConfig
from convert.graph import parameters
from convert.hashing import in_background
from convert.manifest import Manifest
from convert.preparation import Prepared
from convert.progress import Reporter
from convert.reporting.data import RooflineData, data_path, page_path, write_data, write_whole
from convert.reporting.findings import Findings
from convert.reporting.page import page, warm_up
from targets.deployment import Workload

_CONTEXT = 128
"""Tokens in the cache while the gate feeds one by one, about."""


class Pages:
    """Writes pages beside the artifacts, and says at the end where they are.

    Args:
        config: Of the model.
        reporter: Remembers the run.
        wanted: Whether to write any.
        checked: Whether artifacts are run, for which this process will wait.
    """

    def __init__(
        self, config: DecoderConfig, reporter: Reporter, *, wanted: bool, checked: bool
    ) -> None:
        self._config = config
        self._reporter = reporter
        self._wanted = wanted
        self._checked = checked
        self._told: list[str] = []
        if wanted and checked:
            in_background(warm_up)

    def write(
        self,
        artifact: Path,
        manifest: Manifest,
        item: Prepared,
        findings: Findings,
        failures: Sequence[str] = (),
    ) -> None:
        """Write the page of one artifact. Nothing that goes wrong here ends the run.

        Args:
            artifact: Its folder under its final name, be it there or not.
            manifest: What it says, or would say.
            failures: Why the artifact is refused, if it is.
        """
        if not self._wanted:
            return
        try:
            weights = {name: one.weight for name, one in parameters(item.model).items()}
            data = findings.data(manifest, weights, self._reporter.history, failures)
            if data.details is not None and data.details.decode_ms is not None:
                data = data.model_copy(update={"roofline": _roofline(self._config, item)})
            write_data(data_path(artifact), data)
            if self._checked:
                write_whole(page_path(artifact), page(manifest, data))
        except Exception as error:  # an artifact that is done is worth more than its page
            self._reporter.say(f"  the report of {manifest.artifact} could not be written: {error}")
        else:
            made = str(page_path(artifact)) if self._checked else f"`convert report {artifact}`"
            self._told.append(f"report: {made}")

    def announce(self) -> None:
        """Say where the pages are."""
        for line in self._told:
            self._reporter.say(line)


def _roofline(config: DecoderConfig, item: Prepared) -> RooflineData | None:
    """What this machine allows of one token after another."""
    from convert.hardware.this_machine import this_machine
    from convert.prediction.on_hardware import plan_on

    hardware = this_machine().hardware()
    context = min(_CONTEXT, config.max_positions)
    plan = plan_on("this", hardware, config, item.model, Workload(1, context, context))
    if plan.bound is None or plan.reached is None:
        return None
    return RooflineData(
        bound_ms=_milliseconds(plan.bound.next_token(context).seconds),
        expected_ms=_milliseconds(plan.reached.next_token(context).seconds),
        context=context,
        bandwidth=float(f"{hardware.bandwidth.value:.4g}"),
    )


def _milliseconds(seconds: float) -> float:
    return float(f"{1e3 * seconds:.4g}")
