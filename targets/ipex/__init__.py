"""Checkpoints for PyTorch on Xeon: IPEX, transformers, vLLM and sglang."""
