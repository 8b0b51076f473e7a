"""Proves a model's rules by induction with z3: on trees of a given size, and of any size."""
