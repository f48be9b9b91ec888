"""The deployments that others published, what they measured, and how we stand to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Measure = Literal["next", "answer", "prompt rate"]


@dataclass(frozen=True)
class Published:
    """A published figure, in seconds (of a token, of an answer) or tokens a second of prompts.

    Args:
        low: Of the range; the same as ``high`` for a single figure.
        high: Of the range.
        at_most: Whether only a limit was published, which times are below.
    """

    low: float
    high: float
    at_most: bool = False


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Args:
        model: Of `bench.deployed_models`.
        recipe: That makes its artifact.
        hardware: Profile that it runs on.
        prompts: Tokens of the shortest and the longest prompt.
        new: Tokens of the answer.
        measure: What was measured.
        published: None where no figure was published.
        batch: Sequences at once.
        settings: Of the artifact, other than the recipe's.
        miss: Why the prediction is not where it should be.
    """

    model: str
    recipe: str
    hardware: str
    prompts: tuple[int, int]
    new: int
    measure: Measure = "next"
    published: Published | None = None
    batch: int = 1
    settings: Mapping[str, int] = field(default_factory=dict)
    miss: str = ""


@dataclass(frozen=True)
class Deployment:
    """A row of the list: its cases, and what there is to say."""

    title: str
    text: str
    cases: tuple[Case, ...]
    verified: tuple[str, ...]
    unverified: tuple[str, ...]
    notes: tuple[str, ...] = ()


def _range(low: float, high: float) -> Published:
    return Published(low / 1e3, high / 1e3)


def _below(limit: float) -> Published:
    return Published(limit / 1e3, limit / 1e3, at_most=True)


def _took(seconds: float) -> Published:
    return Published(seconds, seconds)


_GAUDI = (
    "the checkpoint, its settings and bucket files; its static programs (prefill, decode) in "
    "torch on the CPU, gated against the original, on small models of the architecture",
)
_NO_GAUDI = (
    "a card: graph capture, HPU kernels, memory of the runtime, HCCL; every time here is predicted",
)
_SPOKEN = (7, 7)
"""Tokens of the prompt "DeepSpeed is a machine learning framework"."""

_SMALL_ON_EIGHT = (
    "less than a tenth of the time goes to the weights at their peak rate; the rest is what "
    "operators and collectives take to start, of which the profile has assumptions only"
)
_HARDLY_FASTER = (
    "inside the limits, but a fifth of what was measured. Eight of these cards were no faster than "
    "one (2.865 s), so that something took the time which is not in the model: starting operators "
    "and collectives of a first-generation card through its host, by all signs"
)


def _bloomz(
    model: str, recipe: str, hardware: str, took: float, *, cards: int = 1, miss: str = ""
) -> Case:
    settings = {"cards": cards} if cards > 1 and "tp" not in recipe else {}
    return Case(
        model, recipe, hardware, _SPOKEN, 100, "answer", _took(took), settings=settings, miss=miss
    )


DEPLOYMENTS: tuple[Deployment, ...] = (
    Deployment(
        "1. Llama 2 on Gaudi2",
        "optimum-habana with HPU graphs: one card, BF16, batch 1, 128 to 2,048 input tokens, 256 "
        "output tokens; time of a next token.",
        (
            Case(
                *("Llama 2 7B", "llama2-7b-gaudi2-bf16", "gaudi2", (128, 2048), 256),
                published=_range(9.0, 12.2),
            ),
            Case(
                *("Llama 2 13B", "llama2-13b-gaudi2-bf16", "gaudi2", (128, 2048), 256),
                published=_range(15.5, 20.4),
            ),
        ),
        _GAUDI,
        _NO_GAUDI,
    ),
    Deployment(
        "2. Llama 2 on Xeon",
        "One socket of a 4th generation Xeon with AMX and DDR5, or of a Xeon Max with HBM2e; BF16, "
        "and INT8 by SmoothQuant. Published: under 100 ms for a next token, 7B in BF16 and 13B in "
        "INT8.",
        (
            Case(
                *("Llama 2 7B", "llama2-7b-xeon-bf16", "xeon-spr", (32, 2048), 256),
                published=_below(100),
            ),
            Case(
                *("Llama 2 7B", "llama2-7b-xeon-bf16", "xeon-max", (32, 2048), 256),
                published=_below(100),
            ),
            Case(
                *("Llama 2 13B", "llama2-13b-xeon-int8", "xeon-spr", (32, 2048), 256),
                published=_below(100),
            ),
            Case(
                *("Llama 2 13B", "llama2-13b-xeon-int8", "xeon-max", (32, 2048), 256),
                published=_below(100),
            ),
            Case("Llama 2 7B", "llama2-7b-xeon-int8", "xeon-spr", (32, 2048), 256),
        ),
        (
            "OpenVINO IR and PyTorch checkpoints run in OpenVINO and transformers, gated, on small "
            "models and on SmolLM2, on two cores of a processor with AVX-512 and AMX",
        ),
        ("the speed of both models at their real size, a whole socket, HBM; vLLM and sglang",),
        ("Two sockets: the same artifact with `--tensor-parallel 2`.",),
    ),
    Deployment(
        "3. Llama 2 on Data Center GPU Max 1550",
        "One tile of two, BF16, 32 to 2,048 input tokens: under 20 ms (7B), 29.2 to 33.8 ms (13B) "
        "for a next token.",
        (
            Case(
                *("Llama 2 7B", "llama2-7b-gpumax-bf16", "gpu-max-1550-tile", (32, 2048), 256),
                published=_below(20),
            ),
            Case(
                *("Llama 2 13B", "llama2-13b-gpumax-bf16", "gpu-max-1550-tile", (32, 2048), 256),
                published=_range(29.2, 33.8),
            ),
        ),
        ("the same IR on the CPU plugin of OpenVINO, gated, on small models",),
        ("the GPU plugin: no such GPU was at hand",),
    ),
    Deployment(
        "4. BLOOMZ on Gaudi2 and first-generation Gaudi",
        "DeepSpeed-inference with HPU graphs and a KV cache: 100 new tokens from the prompt "
        '"DeepSpeed is a machine learning framework" (7 tokens), greedy, BF16. Published: seconds '
        "for the whole answer.",
        (
            _bloomz("BLOOMZ 176B", "bloomz-176b-gaudi2-bf16-tp8", "gaudi2", 3.717, cards=8),
            _bloomz(
                *("BLOOMZ 7B1", "bloomz-7b-gaudi2-bf16", "gaudi2", 0.737),
                cards=8,
                miss=_SMALL_ON_EIGHT,
            ),
            _bloomz("BLOOMZ 7B1", "bloomz-7b-gaudi2-bf16", "gaudi2", 1.066),
            _bloomz(
                *("BLOOMZ 7B1", "bloomz-7b-gaudi1-bf16", "gaudi1", 3.029),
                cards=8,
                miss=_HARDLY_FASTER,
            ),
            _bloomz("BLOOMZ 7B1", "bloomz-7b-gaudi1-bf16", "gaudi1", 2.865),
        ),
        _GAUDI,
        _NO_GAUDI,
        (
            "There is no recipe of its own for 7B on eight cards: the checkpoint is the same, and "
            "`--set cards=8` plans and describes it for eight.",
        ),
    ),
    Deployment(
        "4b. The same, over a data set",
        "Each text cut to its first 16 tokens, 50 new tokens, batch by batch; no figures were "
        "published. `convert generate ARTIFACT --dataset FILE --prompt-tokens 16 --new-tokens 50 "
        "--batch 8` does it with any artifact.",
        (
            Case(
                *("BLOOMZ 176B", "bloomz-176b-gaudi2-bf16-tp8", "gaudi2", (16, 16), 50, "answer"),
                batch=8,
            ),
            Case(
                *("BLOOMZ 7B1", "bloomz-7b-gaudi2-bf16", "gaudi2", (16, 16), 50, "answer"),
                batch=8,
            ),
            Case(
                *("BLOOMZ 7B1", "bloomz-7b-gaudi1-bf16", "gaudi1", (16, 16), 50, "answer"),
                batch=8,
            ),
        ),
        ("a run over the shipped texts on the CPU: cut, batched, resumed after a kill",),
        _NO_GAUDI,
    ),
    Deployment(
        "5. Yuan 2.0 on a four-socket server",
        "NF4 with double quantization, tensor parallel over four Xeon sockets with AMX (NF8260G7, "
        "UPI at 16 GT/s). Published: decoding in real time, and where the time goes: linear layers "
        "50 %, convolutions 20 %, collectives 20 %, the rest 10 %.",
        (
            Case("Yuan 2.0 102B", "yuan2-102b-xeon-nf4-tp4", "xeon-4s", (128, 1024), 256),
            Case("Yuan 2.0 51B", "yuan2-51b-xeon-nf4-tp4", "xeon-4s", (128, 1024), 256),
            Case("Yuan 2.0 2B", "yuan2-2b-xeon-nf4", "xeon-spr", (128, 1024), 256),
        ),
        (
            "four processes of the converted artifact on one machine, over gloo, gated, with the "
            "same codes as one process, on a small trained Yuan",
        ),
        (
            "four sockets, UPI, AMX, and the real checkpoints, which were not at hand",
            "the width of the MLP of 51B, which is not published: that of 102B is taken",
        ),
        (
            "80 ms are 12 tokens a second, twice as fast as people read. That unpacking NF4 keeps "
            "up with the memory is assumed.",
            "The published shares are those of another runtime. Collectives take less in the "
            "shares above: a layer has three sums of one hidden state (attention, MLP, "
            "convolutions), each at the latency that DeepSpeed measured for shared memory. With "
            "gloo, which the shipped launcher uses and DeepSpeed measured at ten times that, they "
            "would take two fifths.",
        ),
    ),
    Deployment(
        "6. Llama 3.3 70B on Google Axion",
        "llama.cpp with KleidiAI, Q4_0, c4a-standard-32. Published: prompts at about 50 tokens a "
        "second, and answers at the speed that people read at, up to batch 4.",
        (
            Case(
                *("Llama 3.3 70B", "llama3.3-70b-arm-q4_0", "axion-c4a-32", (128, 1024), 128),
                "prompt rate",
                Published(50, 50),
            ),
            Case("Llama 3.3 70B", "llama3.3-70b-arm-q4_0", "axion-c4a-32", (128, 1024), 128),
            Case(
                *("Llama 3.3 70B", "llama3.3-70b-arm-q4_0", "axion-c4a-32", (128, 1024), 128),
                batch=4,
            ),
        ),
        (
            "the GGUF in llama.cpp on x86, gated, on small models and SmolLM2; its blocks by the "
            "Arm kernels of ggml (NEON, i8mm, SVE) under emulation",
        ),
        ("an Arm machine, and the model at its real size",),
        (
            "People read three to five words a second. That is four to seven tokens: what is "
            "predicted for each sequence.",
            "Google publishes neither clock nor memory bandwidth of a c4a machine; both are "
            "assumed (see the profile), so that the bound of this row is not a hard one.",
        ),
    ),
)
