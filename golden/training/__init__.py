"""How the small models in `golden/models` are trained."""
