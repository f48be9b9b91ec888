"""Measurements against other converters, and the models that they and the tests use."""
