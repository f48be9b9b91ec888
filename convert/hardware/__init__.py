"""The machines that models run on: profiles with a source for each figure; this one, measured."""
