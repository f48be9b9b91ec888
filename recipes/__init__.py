"""Recipes that come with Tricast, one YAML file each."""
