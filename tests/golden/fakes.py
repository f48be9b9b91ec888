"""A target whose artifact is the original itself, run by transformers, bent on demand."""

from __future__ import annotations

import os
from functools import lru_cache

import numpy as np
from safetensors.numpy import load_file

from golden import reference, tokenization
from targets.base import Runner, Target


@lru_cache
def load(folder):
    """The model and tokenizer of a checkpoint, loaded once."""
    return reference.load(folder, threads=1), tokenization.load(folder)


class FakeRunner(Runner):
    """Runs a Hugging Face checkpoint; ``bend`` changes its logits ``[n, vocab]``."""

    def __init__(self, folder, bend=lambda logits, start: logits, tokenizer=True, **spoiled):
        self.reference, loaded = load(folder)
        self.tokenizer = loaded if tokenizer else None
        self.bend = bend
        self.spoiled = spoiled
        self.calls = []
        self.ids = []

    def reset(self):
        self.ids = []

    def feed(self, ids):
        start = len(self.ids)
        self.calls.append((start, len(ids)))
        self.ids += ids
        return self.bend(self.reference.logits(self.ids)[start:].copy(), start)

    def tokenize(self, text):
        if self.tokenizer is None:
            return None
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids[1:] if text.startswith(self.spoiled.get("text", "\0")) else ids

    def known_difference(self, text, tokenizer):
        assert tokenizer["model"]
        return "a limit" if text.startswith(self.spoiled.get("limit", "\0")) else None

    def chat(self, messages):
        if self.tokenizer is None:
            return None
        text = self.tokenizer.apply_chat_template(
            [dict(m) for m in messages], tokenize=False, add_generation_prompt=True
        )
        return text + self.spoiled.get("chat", "")


class FakeTarget(Target):
    """Gives the runner it was made with."""

    name = "fake"
    summary = "for tests"
    encodings = ("f32",)
    families = frozenset({"llama"})
    default_encoding = "f32"

    def __init__(self, runner, stored=()):
        self.made = runner
        self.stored = stored

    def passes(self, options):
        return ()

    def lay_out(self, request):
        raise NotImplementedError

    def runner(self, artifact, *, threads):
        return self.made

    def stored_weights(self, artifact):
        return iter(self.stored)


class DyingTarget(FakeTarget):
    """Dies as a native runtime does."""

    def runner(self, artifact, *, threads):
        os.write(2, b"GGML_ASSERT failed: the last words\n")
        os.abort()


def scaled(factor):
    """All logits times ``factor``: softer or sharper, the ranking unchanged."""
    return lambda logits, start: (logits * factor).astype(np.float32)


def stored_of(folder):
    """Every parameter of a checkpoint by name, as a target would read it back."""
    return sorted(load_file(folder / "model.safetensors").items())
