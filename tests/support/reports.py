"""A manifest and the data of a page, made up: no model is run."""

from __future__ import annotations

import dataclasses

from convert.hashing import FileRecord
from convert.manifest import GateRecord, Manifest, SourceRecord, TensorRecord
from convert.recipe import Artifact
from convert.reporting.data import (
    MachineData,
    ReportData,
    RooflineData,
    TensorData,
    TransferData,
    files_digest,
)
from golden.details import Departure, Details, PromptDetails
from golden.format import ModelIdentity
from golden.metrics import Summary
from golden.result import GateResult, Parity, Sample
from golden.thresholds import thresholds_for

HOSTILE = (
    "</style></script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\" onload='alert(1)' {{ 7*7 }} {% raw %} &amp; $\\frac{1}{0}$ __x__",
    "\x00\x1b[31m\x7f\x9b\u202egnirts\u2066 \udcff \ud800",
    "汉字 العربية 🦙 " + "long" * 200,
)

KINDS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")


def result(**changes) -> GateResult:
    figures = Summary(40, 0, 0.154, 2.5, 0.823, 1.16)
    values = {
        "target": "gguf",
        "golden": ModelIdentity("tiny", "ab", "cd", 64),
        "overall": figures,
        "decoded": figures,
        "faithful": None,
        "prompts": (figures, figures),
        "tokenizer": Parity(109, 0),
        "chat": Parity(0, 0, "not applicable: the recording has no chats"),
        "sample": Sample((1, 2), (3,), "The capital of France is", " Paris."),
        "thresholds": thresholds_for("q4_0"),
        "failures": (),
    }
    return GateResult(**{**values, **changes})


def manifest(names=None, *, layers=4, gate=None, **changes) -> Manifest:
    found = names or [
        "model.embed_tokens.weight",
        *(f"model.layers.{n}.{kind}.weight" for n in range(layers) for kind in KINDS),
        *(f"model.layers.{n}.input_layernorm.weight" for n in range(layers)),
    ]
    tensors = tuple(
        TensorRecord(
            name=name,
            shape=(64, 32),
            role="other" if "norm" in name else "embedding" if "embed" in name else "linear",
            encoding="f32" if "norm" in name else "q4_0",
            bytes=1152,
            fallback="q6_k does not fit rows of 32 weights" if "embed" in name else None,
        )
        for name in found
    )
    values = {
        "artifact": "gguf-q4_0",
        "target": "gguf",
        "recipe": Artifact(format="gguf", encoding="q4_0"),
        "source": SourceRecord(label="tiny", digest="d" * 64, files=()),
        "versions": {"python": "3.11"},
        "gate": gate
        or GateRecord(
            status="passed",
            result=result().to_json(),
            worst_tensor=found[1 % len(found)],
            weight_error=0.09,
        ),
        "notes": ("a note",),
        "tensors": tensors,
        "files": (FileRecord(path="model.gguf", size=90_000, sha256="a" * 64),),
    }
    return Manifest(**{**values, **changes})


def details(**changes) -> Details:
    one = PromptDetails(
        kld=(0.001, 0.02, None, 0.3, 2.5),
        agrees=(True, True, False, True, False),
        pieces=("The", " capital", " of", "", " France"),
    )
    departure = Departure(0, 4, "of France", " is", "\n", 0.7, 0.4, 0.2, 2.5)
    values = {
        "prompts": (one, dataclasses.replace(one, pieces=None)),
        "departures": (departure,),
        "continuation": " Paris, of course.",
        "decode_ms": 8.0,
        "decode_tokens": 40,
        "threads": 2,
    }
    return Details(**{**values, **changes})


def data(of: Manifest, **changes) -> ReportData:
    sources = {"linear": 0.09, "embedding": 0.006, "other": 0.0}
    values = {
        "artifact": of.artifact,
        "files_sha256": files_digest(of.files),
        "details": details(),
        "tensors": {
            one.name: TensorData(source="bf16", source_bytes=4096, error=sources[one.role])
            for one in of.tensors
        },
        "stages": (("hash the checkpoint", 0.3), ("convert", 2.1)),
        "transfers": (
            TransferData(title="convert", total=5000, points=((0.5, 1000), (2.1, 5000))),
        ),
        "seconds": 14.2,
        "peak_memory": 320_000_000,
        "machine": MachineData(cpu="a processor", cores=2, memory=24 << 30, system="Linux"),
        "roofline": RooflineData(bound_ms=3.0, expected_ms=5.0, context=128, bandwidth=2e10),
    }
    return ReportData(**{**values, **changes})
