"""The parts of tensor parallelism: what flows where, who holds what, and one rank's graph."""
