"""Helpers that the tests share: small models, and the graph in onnxruntime."""
