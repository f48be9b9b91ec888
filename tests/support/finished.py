"""A finished artifact of a few bytes: whole, consistent, and made without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convert.hashing import FileRecord, combined_digest
from convert.manifest import (
    GateRecord,
    Manifest,
    RunRecord,
    SourceRecord,
    TensorRecord,
    WeightingRecord,
    record_files,
    write_manifest,
)
from convert.provenance.derived import write_derived
from convert.recipe import Artifact

FIGURES = {
    "positions": 100,
    "non_finite": 0,
    "mean_kld": 0.01,
    "max_kld": 0.5,
    "top1": 0.95,
    "perplexity_ratio": 1.01,
}


def gate_record(**figures: Any) -> GateRecord:
    """A gate that passed, with other figures over all positions if there are any."""
    parity = {"checked": 9, "differing": 0, "note": None}
    result = {
        "passed": True,
        "target": "gguf",
        "golden": {"label": "tiny", "config_sha256": "c", "digest": "d", "vocab": 8},
        "overall": FIGURES | figures,
        "decoded": FIGURES,
        "faithful": None,
        "prompts": [FIGURES],
        "tokenizer": parity,
        "chat": parity,
        "sample": {"prompt_ids": [1], "ids": [2], "prompt": "a", "text": "b"},
        "thresholds": {
            "mean_kld": 0.02,
            "decoded_kld": 0.04,
            "top1": 0.92,
            "perplexity_ratio": 1.04,
            "faithful_kld": 0.02,
            "weight_error": 0.06,
            "differing_texts": 0,
            "differing_chats": 0,
        },
        "failures": [],
    }
    return GateRecord(
        status="passed",
        golden="golden-1.safetensors",
        golden_sha256="5" * 64,
        result=result,
        worst_tensor="w",
        weight_error=0.01,
    )


def source_record(label: str = "tiny", **more: Any) -> SourceRecord:
    """Of a checkpoint of two files and a LoRA adapter's."""
    paths = ("config.json", "model.safetensors", "lora-1/adapter_model.safetensors")
    files = tuple(
        FileRecord(path=path, size=number, sha256=f"{number}" * 64)
        for number, path in enumerate(paths, 1)
    )
    return SourceRecord(label=label, digest=combined_digest(files), files=files, **more)


def manifest_of(folder: Path, **changes: Any) -> Manifest:
    """The manifest of the files in ``folder``."""
    told = {
        "artifact": "gguf-q4_0",
        "target": "gguf",
        "recipe": Artifact(format="gguf", encoding="q4_0"),
        "source": source_record(architecture="llama", licence="apache-2.0"),
        "run": RunRecord(tokenizer=True, strict=False, calibrate="sample", lora=("polite",)),
        "versions": {"python": "3.11.7", "tricast": "0.1.0", "torch": "2.13.0+cpu"},
        "weighting": WeightingRecord(text_sha256="7" * 64, tokens=128, moments_sha256="8" * 64),
        "gate": gate_record(),
        "notes": ("a note",),
        "tensors": (
            TensorRecord(name="w", shape=(4, 32), role="linear", encoding="q4_0", bytes=72),
            TensorRecord(name="n", shape=(32,), role="other", encoding="f32", bytes=128),
        ),
        "files": record_files(folder),
    }
    return Manifest(**{**told, **changes})


def finished_artifact(folder: Path, *, derived: bool = True, **changes: Any) -> Path:
    """Make one in ``folder``, which is created.

    Args:
        derived: Write the documents beside the manifest, too.
        changes: Fields of the manifest.
    """
    (folder / "sub").mkdir(parents=True)
    (folder / "model.gguf").write_bytes(b"weights" * 100)
    (folder / "sub" / "config.json").write_text("{}")
    write_manifest(folder, manifest_of(folder, **changes))
    if derived:
        write_derived(folder)
    return folder
