"""GGUF of architectures whose graph was imported from transformers' own classes."""
