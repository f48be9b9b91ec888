"""What a run will cost here, and what an artifact will do on the machine it is for."""
