"""Ranks of one model: an IR each, run as processes that exchange partial results."""
