"""Artifacts of several ranks: what each rank stores, and how that is put together again."""
