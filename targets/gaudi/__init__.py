"""BF16 checkpoints for optimum-habana, DeepSpeed and vLLM on Gaudi."""
