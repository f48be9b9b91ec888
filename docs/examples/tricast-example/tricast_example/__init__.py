"""What another package may add to Tricast, one of each kind."""
