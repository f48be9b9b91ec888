"""Readers of the forms a checkpoint comes in: safetensors, PyTorch pickles, GGUF, the hub."""
