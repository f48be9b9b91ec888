"""The GGUF target: one file for llama.cpp, on Arm and everywhere else."""
