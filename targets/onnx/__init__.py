"""The graph itself with external data, for onnxruntime."""
