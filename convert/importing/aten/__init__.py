"""How each operator of torch is said in standard ONNX operators."""
