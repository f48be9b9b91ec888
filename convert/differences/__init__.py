"""What differs between two artifacts, manifests or checkpoints, in numbers."""
