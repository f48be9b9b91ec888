"""SmoothQuant: where the ranges of inputs can be traded for those of weights, and how far."""
