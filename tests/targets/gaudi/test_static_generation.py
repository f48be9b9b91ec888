"""decode.pt2 against transformers generating with its own static cache, in float32."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from convert.architectures import architecture_of
from convert.checkpoint import open_checkpoint
from convert.graph import parameters
from convert.weights import read_float32
from targets.gaudi.export import export, static_graph, to_bytes
from targets.gaudi.programs import DECODE_FILE, TensorForm
from targets.gaudi.run import GaudiRunner

NEW_TOKENS, CONTEXT = 64, 96
MODELS = Path("golden/models")
PROMPT = [5, 17, 42, 3, 29]


def with_decode_program(checkpoint, folder):
    """Weights in float32 as the graph wants them, config.json and decode.pt2."""
    opened = open_checkpoint(str(checkpoint))
    architecture = architecture_of(opened.config)
    config = architecture.parse(opened.config)
    stored = {
        name: torch.from_numpy(read_float32(one.weight))
        for name, one in parameters(architecture.build(config, opened.weights)).items()
    }
    save_file(stored, folder / "model.safetensors")
    (folder / "config.json").write_bytes((Path(checkpoint) / "config.json").read_bytes())
    forms = {name: TensorForm("F32", tuple(tensor.shape)) for name, tensor in stored.items()}
    model = static_graph(opened.config, batch=1, tokens=1, context=CONTEXT)
    (folder / DECODE_FILE).write_bytes(to_bytes(export(model, forms)))
    return folder


def generated(folder):
    with GaudiRunner(folder, threads=1) as runner:
        assert runner.context == CONTEXT
        return runner.generate(PROMPT, NEW_TOKENS, frozenset())


def by_transformers(checkpoint, **cache):
    """Greedy tokens of the original, whatever ends a text."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(checkpoint), dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    ids = model.generate(
        torch.tensor([PROMPT]),
        attention_mask=torch.ones((1, len(PROMPT)), dtype=torch.int64),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        disable_compile=True,
        **cache,
    )
    return ids[0, len(PROMPT) :].tolist()


@pytest.mark.parametrize(
    "checkpoint",
    [
        MODELS / "tiny-llama",
        MODELS / "tiny-bloom",
        pytest.param(Path("models/smollm2"), marks=pytest.mark.slow),
    ],
    ids=lambda path: path.name,
)
def test_64_greedy_tokens_equal_those_of_the_static_cache(checkpoint, tmp_path):
    if not checkpoint.is_dir():
        pytest.skip(f"{checkpoint} is not here")
    found = generated(with_decode_program(checkpoint, tmp_path))
    assert len(found) == NEW_TOKENS
    assert found == by_transformers(checkpoint, cache_implementation="static")


def test_64_greedy_tokens_equal_those_of_yuan_which_has_no_cache(tmp_path):
    from golden.reference import load

    checkpoint = MODELS / "tiny-yuan2"
    reference = load(checkpoint, 1)
    ids = list(PROMPT)
    for _ in range(NEW_TOKENS):
        ids.append(int(reference.logits(ids)[-1].argmax()))
    assert generated(with_decode_program(checkpoint, tmp_path)) == ids[len(PROMPT) :]
