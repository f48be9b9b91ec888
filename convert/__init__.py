"""Convert a checkpoint into artifacts for Arm, Xeon and Gaudi, each checked before it ships.

    import convert

    result = convert.run("models/smollm2", to="gguf:q4_0", out="out")
    print(result.artifacts[0].folder, result.artifacts[0].gate.overall.mean_kld)

The functions are those of the command line; they print nothing, return what they found, and raise
the errors of `convert.errors`. Nothing is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convert import errors as errors
    from convert.api import bench as bench
    from convert.api import generate as generate
    from convert.api import inspect as inspect
    from convert.api import plan as plan
    from convert.api import run as run
    from convert.api import verify as verify
    from convert.progress import Reporter as Reporter
    from convert.results import Generated as Generated
    from convert.results import Made as Made
    from convert.results import RunResult as RunResult
    from convert.results import Verified as Verified
    from convert.sharing import publish as publish
    from convert.sharing import pull as pull
    from convert.sharing import report as report
    from convert.trusting import diff as diff
    from convert.trusting import sign as sign

_PLACES = {
    **dict.fromkeys(("run", "plan", "verify", "inspect", "generate", "bench"), "convert.api"),
    **dict.fromkeys(("RunResult", "Made", "Verified", "Generated"), "convert.results"),
    **dict.fromkeys(("publish", "pull", "report"), "convert.sharing"),
    **dict.fromkeys(("sign", "diff"), "convert.trusting"),
    "Reporter": "convert.progress",
}
_MODULES = ("errors",)

__all__ = (
    "Generated",
    "Made",
    "Reporter",
    "RunResult",
    "Verified",
    "bench",
    "diff",
    "errors",
    "generate",
    "inspect",
    "plan",
    "publish",
    "pull",
    "report",
    "run",
    "sign",
    "verify",
)


def __getattr__(name: str) -> Any:
    """Import what is asked for; see PEP 562."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name in _MODULES:
        return import_module(f"convert.{name}")
    raise AttributeError(f"module 'convert' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
