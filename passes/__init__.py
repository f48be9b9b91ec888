"""Rewrites of the graph, one a file, and the encodings of weights."""
