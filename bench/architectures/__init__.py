"""Which causal language models of the installed transformers are imported, and how well."""
