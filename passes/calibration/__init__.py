"""Runs the float graph over lazy weights, and lets observers see what flows through it."""
