"""Rounds the weights of a decoder layer together, by signed gradient descent on its outputs."""
