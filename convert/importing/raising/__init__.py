"""Passes that recognise what tracing takes apart, and put back the operators that targets know."""
