"""The figures that a manifest claims: whether they agree with each other, and with a new gate."""

from __future__ import annotations

from convert.errors import VerificationError
from convert.gate_figures import gate_figures
from convert.manifest import Manifest
from golden.result import GateResult, judge

WORSE_BY = 1.25
"""How many times a divergence may be what was claimed: runtimes add up in another order on another
machine, and round to other widths."""
NATS, SHARE = 1e-3, 0.02
"""And how much more, where it is next to nothing; how much smaller a share may be."""


def check_claims(manifest: Manifest) -> None:
    """Refuse a manifest that contradicts itself about its gate.

    Raises:
        VerificationError: It says *passed*, and has no figures, or such as do not pass.
    """
    gate = manifest.gate
    if gate.status != "passed":
        return
    if gate.result is None or gate.golden_sha256 is None:
        raise _contradiction(manifest, "no figures")
    try:
        result = GateResult.from_json(gate.result)
        failures = (
            *result.failures,
            *judge(
                result.overall, result.decoded, result.faithful, result.tokenizer, result.chat,
                result.thresholds,
            ),
        )  # fmt: skip
        limit = float(result.thresholds.weight_error)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise _contradiction(manifest, f"figures that cannot be read ({error!r})") from error
    if not gate.result.get("passed") or failures:
        said = "; ".join(map(str, failures))
        raise _contradiction(manifest, said or "a verdict of failed")
    if gate.weight_error is not None and not gate.weight_error <= limit:
        raise _contradiction(
            manifest, f"{gate.worst_tensor} differs by {gate.weight_error:.2%}, at most {limit:.2%}"
        )


def require_as_claimed(manifest: Manifest, result: GateResult) -> None:
    """Refuse an artifact that a new run of the gate finds worse than its manifest claims.

    Raises:
        VerificationError: A figure is worse by more than machines differ.
    """
    now = gate_figures(manifest.gate.model_copy(update={"result": result.to_json()}))
    claimed = gate_figures(manifest.gate)
    worse = [
        f"{name} {now[name]:.4g} here, {claimed[name]:.4g} claimed"
        for name in now.keys() & claimed.keys()
        if _is_worse(name, now[name], claimed[name])
    ]
    if worse:
        raise VerificationError(
            f"{manifest.artifact} is worse than its manifest claims",
            expected=f"divergences of at most {WORSE_BY:g} times what is claimed",
            found="; ".join(sorted(worse)),
            remedy="do not trust the manifest, or convert again",
        )


def _is_worse(name: str, now: float, claimed: float) -> bool:
    _, _, figure = name.rpartition(".")
    if figure == "mean_kld":
        return not now <= claimed * WORSE_BY + NATS
    if figure == "top1":
        return not now >= claimed - SHARE
    if figure == "perplexity_ratio":
        return not now <= claimed + SHARE
    return figure in {"differing", "non_finite"} and now > claimed


def _contradiction(manifest: Manifest, found: str) -> VerificationError:
    return VerificationError(
        f"the manifest of {manifest.artifact} contradicts itself: its gate did not pass",
        expected="figures within their thresholds, where it says that the gate passed",
        found=found,
        remedy="do not trust it; get another copy, or convert again",
    )
