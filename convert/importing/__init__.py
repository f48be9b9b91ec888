"""Import by export: graphs of architectures that transformers knows and nobody here wrote."""
