"""What IPEX 2.8 makes of ipex artifacts; run by verify_ipex.sh in an environment of its own.

For each artifact: the model as IPEX loads it, and the same weights unpacked by us and run in plain
torch. Prints both greedy continuations, and how far the logits of a prompt are apart.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

PROMPT = list(range(5, 37))
NEW_TOKENS = 16


def main(artifacts: list[str]) -> int:
    """Verify each artifact; the number of those whose logits differ."""
    import intel_extension_for_pytorch as ipex

    print(f"torch {torch.__version__}, IPEX {ipex.__version__}")
    return sum(not _verify(Path(artifact)) for artifact in artifacts)


def _verify(artifact: Path) -> bool:
    config = AutoConfig.from_pretrained(artifact, local_files_only=True)
    quantization = json.loads((artifact / "config.json").read_text()).get("quantization_config")
    plain = _plain(artifact, config, quantization)
    with torch.inference_mode():
        expected = plain(torch.tensor([PROMPT])).logits[0].float()
        words = _generate(plain)
    del plain
    optimized = _optimized(artifact, config, quantization)
    with torch.inference_mode():
        found = optimized(torch.tensor([PROMPT])).logits[0].float()
        ipex_words = _generate(optimized)
    divergence = _divergence(expected, found)
    print(f"{artifact.name}: {type(optimized).__name__}, linear layers {_linears(optimized)}")
    print(f"  mean KL to the same weights in plain torch: {divergence:.6f}")
    print(f"  IPEX:  {ipex_words}\n  plain: {words}")
    return divergence < 0.02


def _optimized(artifact: Path, config: Any, quantization: Any) -> Any:
    import intel_extension_for_pytorch as ipex

    if quantization is None:
        model = AutoModelForCausalLM.from_pretrained(
            artifact, torch_dtype=torch.bfloat16, local_files_only=True
        )
        return ipex.llm.optimize(model.eval(), dtype=torch.bfloat16, inplace=True)
    weights, described = _checkpoint(artifact, quantization)
    if config.tie_word_embeddings:
        # IPEX puts the tensors it finds into the modules, and knows of no ties.
        tied = next(
            name
            for name in weights
            if name.endswith(("embed_tokens.weight", "word_embeddings.weight"))
        )
        weights["lm_head.weight"] = weights[tied]
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, torch_dtype=torch.bfloat16)
    recipe = ipex.quantization.get_weight_only_quant_qconfig_mapping(
        weight_dtype=described.pop("dtype"), lowp_mode=ipex.quantization.WoqLowpMode.BF16
    )
    return ipex.llm.optimize(
        model.eval(),
        dtype=torch.bfloat16,
        quantization_config=recipe,
        low_precision_checkpoint=(weights, described),
        inplace=True,
    )


def _checkpoint(artifact: Path, quantization: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    import intel_extension_for_pytorch as ipex
    from intel_extension_for_pytorch.llm.utils import load_low_precision_checkpoint

    kinds = ipex.quantization.WoqWeightDtype
    if quantization["quant_method"] == "gptq":
        weights, described = load_low_precision_checkpoint(str(artifact))
        return weights, {**described, "dtype": kinds.INT4}
    # Its loader knows no compressed-tensors; the tensors are those that it calls int8.
    described = {"quant_method": "int8", "group_size": -1, "bits": 8, "dtype": kinds.INT8}
    return _tensors(artifact), described


def _plain(artifact: Path, config: Any, quantization: Any) -> Any:
    tensors = _tensors(artifact)
    for name in [name for name in tensors if name.endswith((".qweight", ".weight_scale"))]:
        module = name.rpartition(".")[0]
        if name.endswith(".weight_scale"):
            codes = tensors[f"{module}.weight"].float()
            tensors[f"{module}.weight"] = codes * tensors.pop(name)
            continue
        tensors[f"{module}.weight"] = unpacked(
            *(tensors.pop(f"{module}.{part}") for part in ("qweight", "qzeros", "scales", "g_idx"))
        )
    own = AutoConfig.from_pretrained(artifact, local_files_only=True)
    if quantization is not None:
        del own.quantization_config
    model = AutoModelForCausalLM.from_config(own, torch_dtype=torch.float32)
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert set(missing) <= {"lm_head.weight"}, missing
    assert not unexpected, unexpected
    model.tie_weights()
    return model.eval()


def unpacked(qweight: Any, qzeros: Any, scales: Any, group_of: Any) -> Any:
    """The weights ``[out, in]`` of a GPTQ layer, by torch's operations on words."""
    places = torch.arange(0, 32, 4)
    codes = (qweight[:, None, :] >> places[None, :, None] & 15).flatten(0, 1)
    zeros = (qzeros[:, :, None] >> places & 15).flatten(1) + 1
    group = group_of.long()
    return ((codes - zeros[group]) * scales.float()[group]).T.contiguous()


def _tensors(artifact: Path) -> dict[str, Any]:
    tensors: dict[str, Any] = {}
    for path in sorted(artifact.glob("*.safetensors")):
        tensors |= load_file(path)
    return tensors


def _generate(model: Any) -> list[int]:
    ids = torch.tensor([PROMPT])
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False
    )
    return out[0, len(PROMPT) :].tolist()


def _divergence(expected: Any, found: Any) -> float:
    p, q = expected.log_softmax(-1), found.log_softmax(-1)
    return float((p.exp() * (p - q)).sum(-1).mean())


def _linears(model: Any) -> str:
    names = [
        type(module).__name__ for module in model.modules() if "Linear" in type(module).__name__
    ]
    return ", ".join(f"{names.count(name)} {name}" for name in sorted(set(names)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
