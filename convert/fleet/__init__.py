"""A run over many machines: Ray runs its chunks and tasks, and nothing else in Tricast knows."""
