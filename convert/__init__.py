"""Convert a checkpoint into artifacts for Arm, Xeon and Gaudi, each checked before it ships."""
