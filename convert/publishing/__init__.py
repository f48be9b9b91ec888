"""Publishing: finished artifacts go to a hub or registry, and come back verified."""
