"""Fuzzing of what reads files of others: see run.py."""
